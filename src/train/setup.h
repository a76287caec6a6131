/* What a run is made of: data, device, model, mode, loaders, in this order. */
#ifndef LOCKSTEP_TRAIN_SETUP_H
#define LOCKSTEP_TRAIN_SETUP_H

#include "train/learner.h"

typedef struct trainer trainer;

int trainer_setup(trainer *self, ls_error *error);
/* Undoes all of it, and of what came later. */
void trainer_close(trainer *self);

/* Plans for one batch of rank `of`, without lanes. */
int trainer_prepare_batch(const trainer *self, network *network, int of, int64_t global_count,
                          ls_error *error);

/* Of a learner with a sealed network and an optimizer: its mode, with or without --strict, and what
 * attaches the two. */
int trainer_open_mode(trainer *self, learner *learner, bool strict, ls_error *error);

#endif
