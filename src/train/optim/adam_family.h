/* What adam and adamw have in common: their options and their update. */
#ifndef LOCKSTEP_TRAIN_OPTIM_ADAM_FAMILY_H
#define LOCKSTEP_TRAIN_OPTIM_ADAM_FAMILY_H

#include "train/optim/rule.h"

typedef struct adam_settings {
    double beta1, beta2, epsilon;
} adam_settings;

const char *const *adam_family_moments(const void *own);
bool adam_family_pairs(const struct ops *ops);
/* Adam's pass over the ranges, its decay decoupled or added to the gradient. */
int adam_family_update(const adam_settings *settings, bool decoupled, const rule_update *update,
                       ls_error *error);

#endif
