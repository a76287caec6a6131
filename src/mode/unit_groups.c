#include "mode/unit_groups.h"

#include <stdlib.h>

/* Elements of the block that begins with a unit; *end: the unit behind it. */
static size_t block_at(const graph *graph, int unit, int *end) {
    size_t elements = 0;
    int block = graph->units[unit].block;
    for (*end = unit; *end < graph->unit_count && graph->units[*end].block == block; ++*end)
        elements += graph->units[*end].count;
    return elements;
}

static size_t largest_block(const graph *graph) {
    size_t largest = 0;
    for (int unit = 0, end; unit < graph->unit_count; unit = end) {
        size_t elements = block_at(graph, unit, &end);
        largest = elements > largest ? elements : largest;
    }
    return largest;
}

static void add_block(const graph *graph, int unit, int end, size_t elements, unit_groups *out) {
    bool joins = out->count > 0 && out->spans[out->count - 1].count + elements <= out->largest;
    if (joins) {
        out->spans[out->count - 1].count += elements;
    } else {
        out->first_unit[out->count] = unit;
        out->spans[out->count++] = (store_span){graph->units[unit].first, elements};
    }
    for (; unit < end; unit++)
        out->of_unit[unit] = out->count - 1;
    out->first_unit[out->count] = end;
}

int unit_groups_create(const graph *graph, unit_groups *out, ls_error *error) {
    size_t most = (size_t)graph->unit_count + 1;
    *out = (unit_groups){.spans = calloc(most, sizeof *out->spans),
                         .first_unit = calloc(most, sizeof *out->first_unit),
                         .of_unit = calloc(most, sizeof *out->of_unit),
                         .largest = largest_block(graph)};
    if (!out->spans || !out->first_unit || !out->of_unit) {
        unit_groups_destroy(out);
        return ls_fail(error, LS_FAILED, "out of memory");
    }
    for (int unit = 0, end; unit < graph->unit_count; unit = end) {
        size_t elements = block_at(graph, unit, &end);
        add_block(graph, unit, end, elements, out);
    }
    return LS_OK;
}

void unit_groups_destroy(unit_groups *self) {
    free(self->spans);
    free(self->first_unit);
    free(self->of_unit);
    *self = (unit_groups){0};
}
