#include "model/arena.h"

#include <stdbool.h>
#include <stdlib.h>

static size_t aligned(size_t bytes) {
    return (bytes + 255) & ~(size_t)255;
}

static bool overlap(const arena_buffer *a, const arena_buffer *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest offset where `buffer` meets none of the placed ones that live with it: each time one
 * is in the way, go behind it and look again. */
static size_t lowest_free(const arena_buffer *buffer, const arena_buffer *buffers,
                          const bool *placed, int count) {
    size_t offset = 0;
    bool moved = true;
    while (moved) {
        moved = false;
        for (int index = 0; index < count; index++) {
            const arena_buffer *other = &buffers[index];
            if (!placed[index] || !overlap(buffer, other))
                continue;
            size_t end = other->offset + aligned(other->bytes);
            if (offset < end && other->offset < offset + aligned(buffer->bytes)) {
                offset = end;
                moved = true;
            }
        }
    }
    return offset;
}

static int largest_left(const arena_buffer *buffers, const bool *placed, int count) {
    int best = -1;
    for (int index = 0; index < count; index++)
        if (!placed[index] && (best < 0 || buffers[index].bytes > buffers[best].bytes))
            best = index;
    return best;
}

int arena_plan(arena_buffer *buffers, int count, size_t *bytes, ls_error *error) {
    bool *placed = calloc((size_t)count + 1, sizeof *placed);
    if (!placed)
        return ls_fail(error, LS_FAILED, "out of memory");
    *bytes = 0;
    for (int round = 0; round < count; round++) {
        int next = largest_left(buffers, placed, count);
        arena_buffer *buffer = &buffers[next];
        buffer->offset = lowest_free(buffer, buffers, placed, count);
        placed[next] = true;
        if (buffer->offset + aligned(buffer->bytes) > *bytes)
            *bytes = buffer->offset + aligned(buffer->bytes);
    }
    free(placed);
    return LS_OK;
}
