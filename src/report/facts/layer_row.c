#include "report/facts/layer_row.h"

#include "report/facts/files.h"

static const char *const names[LAYER_PHASES] = {
    [LAYER_DATA] = "data",
    [LAYER_FORWARD] = "forward",
    [LAYER_LOSS] = "loss",
    [LAYER_BACKWARD_DATA] = "backward_data",
    [LAYER_BACKWARD_WEIGHTS] = "backward_weights",
    [LAYER_OPTIMIZER] = "optimizer",
    [LAYER_COMMUNICATION] = "communication",
    [LAYER_OTHER] = "other",
};

const char *layer_phase_name(layer_phase phase) {
    return names[phase];
}

typedef struct layer_derived {
    int64_t order;
    const char *phase;
} layer_derived;

enum { PART_ROW, PART_DERIVED };
#define ROW(row_type, row_name, ...)                                                               \
    {                                                                                              \
        .name = #row_name, .type = COLUMN_##row_type, .part = PART_ROW,                            \
        .offset = offsetof(layer_row, row_name), __VA_ARGS__                                       \
    }
#define DERIVED(row_type, row_name, ...)                                                           \
    {                                                                                              \
        .name = #row_name, .type = COLUMN_##row_type, .part = PART_DERIVED,                        \
        .offset = offsetof(layer_derived, row_name), __VA_ARGS__                                   \
    }

static const column columns[] = {
    DERIVED(INT64, order, .meaning = "of the step's work, from 1"),
    ROW(ID, layer, .meaning = "empty but for forward and backward"),
    DERIVED(TEXT, phase,
            .meaning = "`communication` is what compute waited for, `other` what no row holds: the "
                       "rows sum to the step (to within their medians)"),
    ROW(REAL, seconds, .unit = "s",
        .meaning = "the median over the profiled steps on rank 0 (a span's own time, without the "
                   "spans inside it)"),
    ROW(REAL, flop, .show = SHOWN_WHOLE,
        .meaning = "of one step on one rank, as the direct algorithm takes them (Winograd's takes "
                   "fewer)"),
    ROW(REAL, bytes, .show = SHOWN_WHOLE, .unit = "bytes",
        .meaning = "of one step on one rank, each tensor touched once"),
    ROW(REAL, floor_seconds, .unit = "s",
        .meaning = "the larger of `flop` over the rate of a large matrix product and `bytes` over "
                   "that of a large copy, both measured in that process (what lies in a cache can "
                   "be faster, and so can Winograd's convolution)"),
    ROW(INT64, gradient_first,
        .meaning = "where the part of the flat gradient begins that the row makes final"),
    ROW(INT64, gradient_count, .meaning = "of its elements; 0: none"),
    ROW(TEXT, kind, .meaning = "of the layer: `conv2d`, `linear`, ..."),
    ROW(INT64, in_features, .show = SHOWN_POSITIVE,
        .meaning = "where the weight gradient is a product of the layer's input and its output's "
                   "gradient, which can travel in its place (`--factor-comm`): the input's"),
    ROW(INT64, out_features, .show = SHOWN_POSITIVE, .meaning = "and the output's"),
};

const column_table layer_columns = {
    .file = LAYERS_FILE,
    .about = "A row a layer and phase of a step, with `--profile`, in the order of the step.",
    .columns = columns,
    .count = sizeof columns / sizeof columns[0]};

void layer_add_row(text_buffer *out, size_t order, const layer_row *row) {
    layer_derived derived = {.order = (int64_t)order, .phase = names[row->phase]};
    column_table_row(out, &layer_columns, (const void *const[]){row, &derived});
}
