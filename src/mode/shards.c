#include "mode/shards.h"

#include <stdlib.h>

/* The unit that has the element; the last one for the array's end. */
static const graph_unit *unit_at(const graph *graph, size_t element) {
    int unit = graph->unit_count - 1;
    while (unit > 0 && graph->units[unit].first > element)
        unit--;
    return &graph->units[unit];
}

/* The next border, a grain or less after one. */
static size_t rounded(const graph *graph, size_t element, size_t up) {
    const graph_unit *unit = unit_at(graph, element);
    size_t end = unit->first + unit->count;
    size_t border = unit->first + (element - unit->first + up) / SHARD_GRAIN * SHARD_GRAIN;
    return border < end ? border : end;
}

size_t shards_border(const graph *graph, size_t element) {
    return rounded(graph, element, SHARD_GRAIN - 1);
}

static void cut(const graph *graph, store_span block, int size, size_t *borders) {
    size_t end = block.first + block.count;
    borders[0] = block.first;
    for (int place = 1; place < size; place++) {
        size_t even = block.first + block.count * (size_t)place / (size_t)size;
        size_t border = rounded(graph, even, SHARD_GRAIN / 2);
        border = border < borders[place - 1] ? borders[place - 1] : border;
        borders[place] = border < end ? border : end;
    }
    borders[size] = end;
}

int shards_create(const graph *graph, const store_span *blocks, int count, int size, shards *out,
                  ls_error *error) {
    size_t borders = (size_t)size + 1, blocks_made = (size_t)count + 1;
    *out = (shards){.size = size, .count = count};
    out->borders = calloc(blocks_made * borders, sizeof *out->borders);
    out->lengths = calloc(blocks_made * (size_t)size, sizeof *out->lengths);
    if (!out->borders || !out->lengths) {
        shards_destroy(out);
        return ls_fail(error, LS_FAILED, "out of memory");
    }
    for (int block = 0; block < count; block++) {
        cut(graph, blocks[block], size, out->borders + (size_t)block * borders);
        for (int place = 0; place < size; place++)
            out->lengths[(size_t)block * (size_t)size + (size_t)place] =
                (int64_t)shards_part(out, block, place).count;
    }
    return LS_OK;
}

void shards_destroy(shards *self) {
    free(self->borders);
    free(self->lengths);
    *self = (shards){0};
}

store_span shards_part(const shards *self, int block, int place) {
    const size_t *at = self->borders + (size_t)block * ((size_t)self->size + 1) + place;
    return (store_span){at[0], at[1] - at[0]};
}

const int64_t *shards_lengths(const shards *self, int block) {
    return self->lengths + (size_t)block * (size_t)self->size;
}

static int by_place(const void *one, const void *other) {
    size_t first = ((const store_span *)one)->first, second = ((const store_span *)other)->first;
    return (first > second) - (first < second);
}

int shards_held(const shards *self, int place, store_span *out) {
    int parts = 0, count = 0;
    for (int block = 0; block < self->count; block++) {
        store_span part = shards_part(self, block, place);
        if (part.count > 0)
            out[parts++] = part;
    }
    qsort(out, (size_t)parts, sizeof *out, by_place);
    for (int part = 0; part < parts; part++)
        if (count > 0 && out[count - 1].first + out[count - 1].count == out[part].first)
            out[count - 1].count += out[part].count;
        else
            out[count++] = out[part];
    return count;
}
