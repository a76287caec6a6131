/* What the device does at its best, and so the floors of a step's rows. */
#ifndef LOCKSTEP_TRAIN_FLOOR_H
#define LOCKSTEP_TRAIN_FLOOR_H

#include "report/run/layer_table.h"

typedef struct trainer trainer;

typedef struct step_floor {
    layer_rates rates;
    layer_row *rows; /* [row_count], seconds 0; NULL: not measured */
    size_t row_count;
} step_floor;

/* Rank 0 of a device that runs beside the host, or of a run with --profile: measures it;
 * totals.step_floor. Elsewhere there are no rows. A refusal is a line of the log. The caller frees
 * `rows`. */
int trainer_measure_floor(trainer *self, step_floor *out, ls_error *error);

#endif
