/* What a library refused, and what computes instead, as lines of the log. */
#ifndef LOCKSTEP_TRAIN_FALLBACKS_H
#define LOCKSTEP_TRAIN_FALLBACKS_H

#include "base/error.h"

typedef struct trainer trainer;

/* Those since the last call. Collective. */
int trainer_tell_fallbacks(trainer *self, ls_error *error);

#endif
