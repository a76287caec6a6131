/* What fsdp is made of, for modes that hold its shards in another way (the mode room's own). */
#ifndef LOCKSTEP_MODE_FSDP_H
#define LOCKSTEP_MODE_FSDP_H

#include "mode/batch_sums.h"
#include "mode/gathered.h"
#include "mode/parts.h"
#include "mode/scattered.h"

typedef struct fsdp_state { /* mode.state */
    unit_groups groups;
    shards shards; /* of the groups' spans */
    outstanding works;
    batch_sums sums;
    gathered *gathered; /* NULL: all parameters lie here */
    scattered *scattered;
} fsdp_state;

/* The store is told what this rank holds of its shards: parameters, what the optimizer keeps, and
 * gradients where fsdp_holds_gradients. */
typedef int (*fsdp_hold)(mode *self, ls_error *error);

/* In memory, all of it. */
int fsdp_hold_shards(mode *self, ls_error *error);

bool fsdp_holds_gradients(const mode_settings *settings);
/* mode_interface.setup; `reads`: gathered.h's. */
int fsdp_open(mode *self, fsdp_hold hold, bool reads, ls_error *error);

/* mode_interface's. */
void fsdp_plan_memory(const mode_settings *settings, size_t bytes[MEMORY_KINDS]);
void fsdp_teardown(mode *self);
int fsdp_finish(mode *self, ls_error *error);
int fsdp_agree_overflow(mode *self, int32_t *overflow, ls_error *error);
int fsdp_add_up(mode *self, double *values, size_t count, ls_error *error);
void fsdp_parameters_changed(mode *self);

#endif
