/* The mode of a run, made from its settings, its network and its data. */
#ifndef LOCKSTEP_TRAIN_RUN_MODE_H
#define LOCKSTEP_TRAIN_RUN_MODE_H

#include "train/learner.h"

typedef struct trainer trainer;

/* What settings, network and data say of the mode to make; of its optimizer too. */
void trainer_describe_mode(trainer *self, learner *learner, bool strict, mode_settings *out);
/* Of a learner with a sealed network and an optimizer: its mode, with or without --strict, and what
 * attaches the two. */
int trainer_open_mode(trainer *self, learner *learner, bool strict, ls_error *error);

#endif
