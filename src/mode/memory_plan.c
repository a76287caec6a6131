/* What a mode will hold, before it does. */
#include "device/squares.h"
#include "mode/parts.h"

size_t mode_plan_rows(const mode_settings *s) {
    return s->lanes ? (size_t)(s->lanes / s->size) : 1;
}

static size_t moments_of(const mode_settings *s) {
    size_t count = 0;
    while (s->moments && s->moments[count])
        count++;
    return count;
}

void mode_plan_whole(const mode_settings *s, size_t bytes[MEMORY_KINDS]) {
    const graph *graph = s->graph;
    size_t rows = mode_plan_rows(s);
    bytes[MEMORY_PARAMETERS] +=
        store_whole_bytes(graph->parameter_count, 1) + store_whole_bytes(graph->buffer_count, rows);
    bytes[MEMORY_GRADIENTS] += store_whole_bytes(graph->parameter_count, rows);
}

void mode_plan_updates(const mode_settings *s, size_t updated, size_t averaged,
                       size_t bytes[MEMORY_KINDS]) {
    bytes[MEMORY_OPTIMIZER] += moments_of(s) * store_whole_bytes(updated, 1);
    if (s->averages)
        bytes[MEMORY_OPTIMIZER] += store_whole_bytes(averaged, 1);
}

size_t mode_count_squares(const graph *graph) {
    size_t count = 0;
    for (int unit = 0; unit < graph->unit_count; unit++)
        count += squares_grains(graph->units[unit].count);
    return count;
}

/* mode/accumulate.h: their sum. */
static size_t accumulated_bytes(const mode_settings *s) {
    return s->micro_batches > 1 ? store_whole_bytes(s->graph->parameter_count, mode_plan_rows(s))
                                : 0;
}

static size_t packed_bytes(const mode_settings *s) {
    size_t bytes = 0;
    for (int record = 0; record < s->graph->record_count; record++)
        bytes += network_packed_bytes(s->network, record);
    return bytes;
}

void mode_plan_rest(const mode_settings *s, bool adds_up, bool packs, size_t bytes[MEMORY_KINDS]) {
    bytes[MEMORY_GRADIENTS] += adds_up ? accumulated_bytes(s) : 0;
    bytes[MEMORY_OPTIMIZER] += s->sums_squares ? mode_count_squares(s->graph) * sizeof(double) : 0;
    bytes[MEMORY_PACKED] += packs ? packed_bytes(s) : 0;
    bytes[MEMORY_ACTIVATIONS] +=
        network_arena_bytes(s->network) - network_workspace_bytes(s->network);
    bytes[MEMORY_WORKSPACE] += network_workspace_bytes(s->network);
}
