/* Every rank must run the same program, with the same options, on the same data. */
#ifndef LOCKSTEP_TRAIN_AGREE_H
#define LOCKSTEP_TRAIN_AGREE_H

#include "base/error.h"

typedef struct trainer trainer;

/* LS_BAD_INPUT on a rank that differs. Collective. */
int trainer_agree(trainer *self, ls_error *error);

#endif
