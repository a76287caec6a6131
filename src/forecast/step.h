/* One rank's measured step: what `train --mode single --profile N` left in a run's folder, row by
 * row in the order of the step, and what a row takes at another batch. */
#ifndef LOCKSTEP_FORECAST_STEP_H
#define LOCKSTEP_FORECAST_STEP_H

#include "base/dtype.h"
#include "base/error.h"
#include "report/run/layer_table.h"

#include <stddef.h>
#include <stdint.h>

enum { FORECAST_MOST_ROWS = 2048, FORECAST_MOST_RUNS = 16 };

typedef struct step_row {
    char layer[64];
    layer_phase phase;
    /* At each batch: measured, and scaled so that all rows sum to the run's mean step; of several
     * runs the mean. */
    double seconds[FORECAST_MOST_RUNS];
    /* Elements of the flat gradient that are final after this row; 0, 0: none. */
    int64_t gradient_first, gradient_count;
    /* backward_weights of a layer whose gradient can travel as factors; 0: it cannot. */
    int64_t in_features, out_features;
} step_row;

typedef struct step_model {
    step_row rows[FORECAST_MOST_ROWS];
    size_t row_count;
    int64_t batches[FORECAST_MOST_RUNS]; /* ascending, no two alike */
    int runs[FORECAST_MOST_RUNS];        /* at each of them */
    int batch_count;
    int64_t batch;      /* the first run's: what every rank computes in weak scaling */
    int64_t parameters; /* elements of the flat gradient */
    dtype type;         /* of activations */
    char device[16], model[64], precision[16];
} step_model;

/* Reads the runs of one model, at one batch or several. Folders without layers.csv, a mode other
 * than single, rows that cannot be (out of order, negative, a gradient that is not covered from its
 * end to its beginning), or runs that differ in more than their batch are LS_BAD_INPUT with a line
 * that names the file. */
int step_model_read(step_model *out, char *const *folders, int count, ls_error *error);

/* Seconds of a row at a batch: with one batch, in proportion to the batch but for the rows whose
 * work does not depend on it (optimizer, other); with several, on the line between the measured
 * batches around it, or of the two nearest; never below 0. */
double step_row_seconds(const step_model *self, const step_row *row, int64_t batch);

#endif
