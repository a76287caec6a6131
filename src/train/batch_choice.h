/* The batch of a run: as it was given, or to be found; and what follows from it. */
#ifndef LOCKSTEP_TRAIN_BATCH_CHOICE_H
#define LOCKSTEP_TRAIN_BATCH_CHOICE_H

#include "base/error.h"

#include <stdint.h>

typedef struct trainer trainer;

/* global_batch and scaling from the options; where the batch is to be found (batch.open), the
 * smallest that there can be. LS_BAD_INPUT where they do not fit together. */
int trainer_choose_batch(trainer *self, ls_error *error);
/* Images a rank of the smallest batch, of which any that is found is a multiple: one for each lane
 * and micro-batch. */
int64_t trainer_batch_unit(const trainer *self);
/* This is the global batch: after input_find, before anything of it is loaded. What follows from it
 * is checked, and the rates of all steps are made. */
int trainer_take_batch(trainer *self, int64_t global_batch, ls_error *error);
/* A run that goes on takes the batch of its checkpoint where it was found, and its micro-batches
 * where the ranks are as many. */
int trainer_take_saved_batch(trainer *self, int64_t global_batch, ls_error *error);

#endif
