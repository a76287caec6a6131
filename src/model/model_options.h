/* What a user chooses of the network: its model, and the type that it computes in. */
#ifndef LOCKSTEP_MODEL_MODEL_OPTIONS_H
#define LOCKSTEP_MODEL_MODEL_OPTIONS_H

#include "base/option.h"

#include <stdbool.h>

typedef struct model_options {
    const char *model;     /* of model_choices (model_build) */
    const char *precision; /* of PRECISION_CHOICES (precision_of) */
    bool zero_init_residual;
} model_options;

/* The group of a command whose settings hold a model_options at `offset`. */
int model_add_options(option_groups *list, size_t offset, ls_error *error);

#endif
