/* A batch that a run may have: planned, and tried by real steps on blank images. What is set up for
 * it is gone again when a call returns; global_batch, `memory` and what follows from the batch stay
 * the trial's. */
#ifndef LOCKSTEP_TRAIN_BATCH_TRIAL_H
#define LOCKSTEP_TRAIN_BATCH_TRIAL_H

#include "train/memory_room.h"

#include <stdbool.h>
#include <stdint.h>

/* The plan of this rank, in trainer.memory; takes next to no memory. Local. */
int trainer_plan_batch(trainer *self, int64_t global_batch, ls_error *error);

typedef struct batch_trial {
    bool fits;        /* as planned and, where steps were made, as measured: on every rank */
    double load;      /* the largest that a rank has of its room; above 1 it does not fit */
    double unplanned; /* bytes that a rank held at the most beyond its plan of them */
    double seconds; /* of the fastest step but the first, by the slowest rank; NAN: of one alone */
} batch_trial;

/* Steps are made where the plan fits on every rank: nothing is taken that is not there. Collective.
 */
int trainer_try_batch(trainer *self, int64_t global_batch, int steps, const memory_room *room,
                      batch_trial *out, ls_error *error);

#endif
