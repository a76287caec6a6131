/* The end of a run. */
#ifndef LOCKSTEP_TRAIN_FINISH_H
#define LOCKSTEP_TRAIN_FINISH_H

#include "base/error.h"

typedef struct trainer trainer;

/* Totals, usage and the closing table. */
int trainer_finish(trainer *self, ls_error *error);

#endif
