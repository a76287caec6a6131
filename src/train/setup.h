/* What a run is made of: data, device, model, mode, loaders, in this order. */
#ifndef LOCKSTEP_TRAIN_SETUP_H
#define LOCKSTEP_TRAIN_SETUP_H

#include "base/error.h"

typedef struct trainer trainer;

int trainer_setup(trainer *self, ls_error *error);
/* Undoes all of it, and of what came later. */
void trainer_close(trainer *self);

#endif
