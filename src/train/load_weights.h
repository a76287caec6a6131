/* Weights of a file in place of initial ones. */
#ifndef LOCKSTEP_TRAIN_LOAD_WEIGHTS_H
#define LOCKSTEP_TRAIN_LOAD_WEIGHTS_H

#include "base/error.h"

typedef struct trainer trainer;

/* The parameters and buffers of the file are the learner's. Collective. */
int trainer_load_weights(trainer *self, const char *from, ls_error *error);

#endif
