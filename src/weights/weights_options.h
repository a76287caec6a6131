/* The weights that a run begins with. */
#ifndef LOCKSTEP_WEIGHTS_WEIGHTS_OPTIONS_H
#define LOCKSTEP_WEIGHTS_WEIGHTS_OPTIONS_H

#include "base/option.h"

#include <stdbool.h>

typedef struct weights_options {
    const char *init; /* NULL: random ones */
    bool partial;
} weights_options;

/* The group of a command whose settings hold a weights_options at `offset`. */
int weights_add_options(option_groups *list, size_t offset, ls_error *error);
int weights_check_options(const weights_options *self, ls_error *error);

#endif
