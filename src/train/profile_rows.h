/* Where the profiled steps' time went, as rows by layer and phase. */
#ifndef LOCKSTEP_TRAIN_PROFILE_ROWS_H
#define LOCKSTEP_TRAIN_PROFILE_ROWS_H

#include "base/span.h"
#include "model/network.h"
#include "report/run/layer_table.h"

typedef struct profile_work {
    const graph *graph;
    int count;   /* samples that this rank computes in a step */
    int loaded;  /* that it loads, and computes the loss of */
    int moments; /* the optimizer's; -1: this rank updates nothing */
    dtype type;  /* of activations */
} profile_work;

/* One row for each that a step has, in the order of the step; seconds 0, floors from the rates.
 * `rows` holds 3 * layers + 5. Returns how many. */
size_t profile_rows(const profile_work *work, const layer_rates *rates, layer_row *rows);

/* The seconds of the rows: of each span of the compute row what is not inside another one, summed
 * by layer and phase, the median over `steps`; so that a step's rows sum to it. Also
 * *step_seconds, the median of whole steps. */
int profile_seconds(const graph *graph, const span *spans, int count, int steps, layer_row *rows,
                    size_t row_count, double *step_seconds, ls_error *error);

#endif
