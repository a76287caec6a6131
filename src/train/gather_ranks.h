/* Every rank's place and device. */
#ifndef LOCKSTEP_TRAIN_GATHER_RANKS_H
#define LOCKSTEP_TRAIN_GATHER_RANKS_H

#include "base/error.h"

typedef struct trainer trainer;

/* To all. */
int trainer_gather_ranks(trainer *self, ls_error *error);

#endif
