/* What --strict costs: this run's steps with lanes and without. */
#ifndef LOCKSTEP_TRAIN_PRICE_H
#define LOCKSTEP_TRAIN_PRICE_H

#include "base/error.h"

typedef struct trainer trainer;

/* totals.strict_cost, and a line about it. Before the real initial state. */
int trainer_price_strictness(trainer *self, ls_error *error);

#endif
