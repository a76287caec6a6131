/* The run's folder, and the header of its log. */
#ifndef LOCKSTEP_TRAIN_HEADER_H
#define LOCKSTEP_TRAIN_HEADER_H

#include "base/error.h"

typedef struct trainer trainer;

/* With what each rank holds. */
int trainer_open_run(trainer *self, ls_error *error);

#endif
