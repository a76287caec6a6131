/* What the loaders did: how many threads they took, what they would deliver, how long steps waited
 * for them. Collective. */
#ifndef LOCKSTEP_TRAIN_LOADING_H
#define LOCKSTEP_TRAIN_LOADING_H

#include "base/error.h"

typedef struct trainer trainer;

/* After an epoch: a line of the log where --loader-threads auto has come to another number. */
int trainer_tell_loader(trainer *self, ls_error *error);
/* At the run's end: fills in the totals of the loader. Threads and rate are of images that are
 * decoded, not of pixels that are copied. */
int trainer_note_loader(trainer *self, ls_error *error);

#endif
