/* Where one step's time went, by layer and phase, against what it could not be faster than:
 * layers.csv and the table at the end of a run with --profile.
 *
 * Rows stand in the order of the step: data; forward of each layer; loss; backward from the last
 * layer to the first, its weights before its data; optimizer; communication that the compute
 * waited for; other, what no row above holds. `layer` is empty but for forward and backward.
 * The floor of a row is the larger of two times: its multiplications and additions over the
 * measured rate of a large matrix product, and its bytes (each tensor touched once) over the
 * measured rate of a large copy; NAN where nothing is known of the work. */
#ifndef LOCKSTEP_REPORT_LAYER_TABLE_H
#define LOCKSTEP_REPORT_LAYER_TABLE_H

#include "base/error.h"
#include "report/text_buffer.h"

#include <stddef.h>
#include <stdint.h>

#define LAYERS_FILE "layers.csv"

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
    char layer[32];
    layer_phase phase;
    double seconds; /* of one step on rank 0: the median over the profiled steps */
    double flop, bytes, floor_seconds; /* of one step on one rank; NAN: not known */
    /* The range of the flat gradient [parameters] that this row makes final; 0, 0: none. */
    int64_t gradient_first, gradient_count;
} layer_row;

/* What the rows are measured against. */
typedef struct layer_rates {
    double flop_per_second;  /* of a large matrix product in the run's precision */
    double bytes_per_second; /* of a large copy: read plus written */
    int steps;               /* profiled */
    double step_seconds;     /* a whole step: the median over them */
} layer_rates;

/* The columns of layers.csv: order (from 1), layer, phase, seconds, flop, bytes, floor_seconds,
 * gradient_first, gradient_count. Written atomically into a run's folder. */
int layer_table_write(const char *folder, const layer_row *rows, size_t count, ls_error *error);

/* For people, with the sum of the rows beside the measured step. */
void layer_table_text(text_buffer *out, const layer_row *rows, size_t count,
                      const layer_rates *rates);

#endif
