/* What a user chooses of the collectives of a run's steps. */
#ifndef LOCKSTEP_COMM_COMM_OPTIONS_H
#define LOCKSTEP_COMM_COMM_OPTIONS_H

#include "base/option.h"

typedef struct comm_options {
    const char *comm; /* of COMM_CHOICES (comm_open) */
    double timeout;   /* seconds of a collective; 0: it may take any time */
} comm_options;

/* The group of a command whose settings hold a comm_options at `offset`. */
int comm_add_options(option_groups *list, size_t offset, ls_error *error);

#endif
