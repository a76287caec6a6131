/* A row of layers.csv, and its columns.
 *
 * Rows stand in the order of the step: data; forward of each layer; loss; backward from the last
 * layer to the first, its weights before its data; optimizer; communication that the compute
 * waited for; other, what no row above holds. `layer` is empty but for forward and backward.
 * The floor of a row is the larger of two times: its multiplications and additions over the
 * measured rate of a large matrix product, and its bytes (each tensor touched once) over the
 * measured rate of a large copy; NAN where nothing is known of the work. */
#ifndef LOCKSTEP_REPORT_FACTS_LAYER_ROW_H
#define LOCKSTEP_REPORT_FACTS_LAYER_ROW_H

#include "report/facts/column.h"

#include <stddef.h>
#include <stdint.h>

/* "forward" and the others, as layers.csv has them in its column `phase`. */
typedef enum {
    LAYER_DATA,
    LAYER_FORWARD,
    LAYER_LOSS,
    LAYER_BACKWARD_DATA,
    LAYER_BACKWARD_WEIGHTS,
    LAYER_OPTIMIZER,
    LAYER_COMMUNICATION,
    LAYER_OTHER,
    LAYER_PHASES
} layer_phase;

const char *layer_phase_name(layer_phase phase);

typedef struct layer_row {
    char layer[64];
    const char *kind; /* of the layer: "conv2d"; NULL where there is none */
    layer_phase phase;
    double seconds; /* of one step on rank 0: the median over the profiled steps */
    double flop, bytes, floor_seconds; /* of one step on one rank; NAN: not known */
    /* The range of the flat gradient [parameters] that this row makes final; 0, 0: none. */
    int64_t gradient_first, gradient_count;
    /* backward_weights of a layer whose weight gradient is a product of its input and its output's
     * gradient, so that these can travel in its place: their features; 0: it is none. */
    int64_t in_features, out_features;
} layer_row;

extern const column_table layer_columns;
/* `order`: from 1. */
void layer_add_row(text_buffer *out, size_t order, const layer_row *row);

#endif
