/* --sync-batchnorm: what ops sum over a batch is added up over the ranks that have parts of it
 * (op_arguments.sums), in the middle of a pass, by an all-reduce in the mode's stream. */
#ifndef LOCKSTEP_MODE_BATCH_SUMS_H
#define LOCKSTEP_MODE_BATCH_SUMS_H

#include "mode/outstanding.h"
#include "mode/parts.h"

typedef struct batch_sums {
    op_sums given; /* mode.hooks.sums; its values are in the comm's memory, the store's */
    mode *mode;
    outstanding *works;
} batch_sums;

/* Where the settings ask for it and there is more than one rank: `works` has made every call of the
 * comm so far, and both stay where they are. Collective. */
int batch_sums_open(batch_sums *self, mode *mode, outstanding *works, ls_error *error);

/* Of the comm's memory that batch_sums_open takes. */
size_t batch_sums_bytes(const mode_settings *settings);

/* LS_BAD_INPUT where they ask for what this network cannot do. */
int batch_sums_check(const mode_settings *settings, ls_error *error);

#endif
