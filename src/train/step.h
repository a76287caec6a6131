/* The steps of a run, each of one global batch. */
#ifndef LOCKSTEP_TRAIN_STEP_H
#define LOCKSTEP_TRAIN_STEP_H

#include "input/input.h"

typedef struct trainer trainer;

/* One. A sampled step is never a replayed one. */
int trainer_train_step(trainer *self, const input_batch *batch, bool sampled, ls_error *error);
/* As many as one recording has (recordings.several), from this batch on, which is in place 0. */
int trainer_train_several(trainer *self, const input_batch *batch, ls_error *error);
/* After a step was put into the stream: batch `index` (0, 1, ...) is made beside it. */
int trainer_look_ahead(trainer *self, int64_t index, ls_error *error);

#endif
