#include "checkpoint/layout.h"

#include "base/share.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct ranges {
    checkpoint_range *list;
    int count, capacity;
} ranges;

/* Joined with the one before it where they touch. */
static int append(ranges *self, checkpoint_range more, ls_error *error) {
    checkpoint_range *last = self->count > 0 ? &self->list[self->count - 1] : NULL;
    if (more.count == 0)
        return LS_OK;
    if (last && last->array == more.array && last->first + last->count == more.first) {
        last->count += more.count;
        return LS_OK;
    }
    if (self->count == self->capacity) {
        int capacity = self->capacity ? 2 * self->capacity : 16;
        checkpoint_range *larger = realloc(self->list, (size_t)capacity * sizeof *larger);
        if (!larger)
            return ls_fail(error, LS_FAILED, "out of memory");
        self->list = larger;
        self->capacity = capacity;
    }
    self->list[self->count++] = more;
    return LS_OK;
}

static int by_place(const void *a, const void *b) {
    const checkpoint_range *left = a, *right = b;
    if (left->array != right->array)
        return left->array < right->array ? -1 : 1;
    return left->first < right->first ? -1 : left->first > right->first;
}

static bool holds(const checkpoint_holding *self, const checkpoint_range *piece) {
    for (int index = 0; index < self->count; index++) {
        const checkpoint_range *range = &self->ranges[index];
        if (range->array == piece->array && piece->first >= range->first &&
            piece->first + piece->count <= range->first + range->count)
            return true;
    }
    return false;
}

/* Of a piece that each rank holds whole or not at all. */
static int take_share(const checkpoint_holding *held, int size, int rank,
                      const checkpoint_range *piece, ranges *out, ls_error *error) {
    int holders = 0, mine = -1;
    for (int other = 0; other < size; other++)
        if (holds(&held[other], piece)) {
            mine = other == rank ? holders : mine;
            holders++;
        }
    if (mine < 0)
        return LS_OK;
    share part = share_of(piece->count, mine, holders);
    return append(out, (checkpoint_range){piece->array, piece->first + part.first, part.count},
                  error);
}

/* Where any rank's range begins or ends, in order. */
static int find_borders(const checkpoint_holding *held, int size, ranges *out, ls_error *error) {
    int count = 0;
    for (int rank = 0; rank < size; rank++)
        count += 2 * held[rank].count;
    out->list = calloc((size_t)count + 1, sizeof *out->list);
    if (!out->list)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int rank = 0; rank < size; rank++)
        for (int index = 0; index < held[rank].count; index++) {
            checkpoint_range range = held[rank].ranges[index];
            out->list[out->count++] = (checkpoint_range){range.array, range.first, 0};
            out->list[out->count++] = (checkpoint_range){range.array, range.first + range.count, 0};
        }
    qsort(out->list, (size_t)out->count, sizeof *out->list, by_place);
    return LS_OK;
}

int checkpoint_share(const checkpoint_holding *held, int size, int rank, checkpoint_range **out,
                     int *count, ls_error *error) {
    ranges borders = {0}, mine = {0};
    int status = find_borders(held, size, &borders, error);
    for (int index = 0; status == LS_OK && index + 1 < borders.count; index++) {
        checkpoint_range piece = borders.list[index], next = borders.list[index + 1];
        piece.count = next.array == piece.array ? next.first - piece.first : 0;
        if (piece.count > 0)
            status = take_share(held, size, rank, &piece, &mine, error);
    }
    free(borders.list);
    if (status != LS_OK)
        free(mine.list);
    *out = status == LS_OK ? mine.list : NULL;
    *count = status == LS_OK ? mine.count : 0;
    return status;
}

static int check_array(const checkpoint_array *array, int64_t number, const checkpoint_range *list,
                       int count, ls_error *error) {
    int64_t covered = 0;
    for (int index = 0; index < count; index++) {
        if (list[index].array != number)
            continue;
        if (list[index].first != covered)
            return ls_fail(error, LS_FAILED, "array '%s': element %" PRId64 " is in %s",
                           array->name, list[index].first < covered ? list[index].first : covered,
                           list[index].first < covered ? "two parts" : "no part");
        covered += list[index].count;
    }
    if (covered == array->length)
        return LS_OK;
    return ls_fail(error, LS_FAILED, "array '%s': expected %" PRId64 " elements, found %" PRId64,
                   array->name, array->length, covered);
}

int checkpoint_check_cover(const checkpoint_array *arrays, int array_count,
                           const checkpoint_range *ranges, int range_count, ls_error *error) {
    checkpoint_range *sorted = calloc((size_t)range_count + 1, sizeof *sorted);
    if (!sorted)
        return ls_fail(error, LS_FAILED, "out of memory");
    if (range_count > 0)
        memcpy(sorted, ranges, (size_t)range_count * sizeof *sorted);
    qsort(sorted, (size_t)range_count, sizeof *sorted, by_place);
    int status = LS_OK;
    for (int array = 0; status == LS_OK && array < array_count; array++)
        status = check_array(&arrays[array], array, sorted, range_count, error);
    free(sorted);
    return status;
}
