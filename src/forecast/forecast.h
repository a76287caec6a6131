/* Step time, speedup and efficiency at 1 to 1024 ranks for each comm choice, as tables and CSV. */
#ifndef LOCKSTEP_FORECAST_FORECAST_H
#define LOCKSTEP_FORECAST_FORECAST_H

#include "base/text_buffer.h"
#include "forecast/simulate.h"

#include <stdbool.h>

enum { FORECAST_MOST_RANKS = 1024, FORECAST_MOST_LINES = 11 };

typedef struct forecast_line {
    int ranks, nodes;
    int64_t global_batch;
    double seconds, images_per_second, speedup, efficiency;
    double exposed; /* [0, 1] of the step: what is not the computing of a rank alone */
    comm_choice choice;
    int collectives, factored_layers;
} forecast_line;

/* One comm choice (or the best of all, rank count by rank count) at 1, 2, 4 ... ranks. Weak
 * scaling: every rank has the first run's batch. Strong: that batch is the global one, the largest
 * share decides, and the lines end where a rank has less than an image. */
typedef struct forecast_table {
    forecast_line lines[FORECAST_MOST_LINES];
    int count;
} forecast_table;

typedef struct forecast {
    forecast_table choices[CHOICES], best;
    bool strong;
} forecast;

/* bucket_bytes: of fp32 gradient a bucket, at most; 0: by the network, as `train --bucket-mb auto`.
 */
int forecast_make(const step_model *step, const forecast_network *network, int64_t bucket_bytes,
                  bool strong, forecast *out, ls_error *error);

/* The tables for people, with what they start from above them. */
void forecast_text(const forecast *self, const step_model *step, const forecast_network *network,
                   int64_t bucket_bytes, text_buffer *out);

/* Columns choice, scaling, ranks, nodes, global_batch, step_seconds, images_per_second, speedup,
 * efficiency, exposed, collectives, factored_layers; rows of choice "best" say in `as` which. */
void forecast_csv(const forecast *self, text_buffer *out);

#endif
