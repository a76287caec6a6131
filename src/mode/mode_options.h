/* What a user chooses of a run's mode, and what of it does not fit together. */
#ifndef LOCKSTEP_MODE_MODE_OPTIONS_H
#define LOCKSTEP_MODE_MODE_OPTIONS_H

#include "base/option.h"
#include "mode/mode.h"

enum { ACCUMULATE_AUTO = -1, MOST_MICRO_BATCHES = 64 };

typedef struct mode_options {
    const char *mode;
    double bucket_mb; /* 0: auto */
    const char *grad_comm, *factor_comm;
    bool sync_batchnorm, strict;
    int64_t lanes;      /* 0: not given */
    int64_t accumulate; /* micro-batches a step; ACCUMULATE_AUTO: to be found by the caller */
    int64_t prefetch;
    const char *reshard;        /* "on" or "off" */
    const char *strict_cost;    /* "on" or "off" */
    const char *offload_folder; /* NULL: none */
    const char *placement;      /* "static" or "auto": the caller measures */
    const char *within;         /* of comm_groups_check */
} mode_options;

/* The groups of a command whose settings hold a mode_options at `offset`. */
int mode_add_options(option_groups *list, size_t offset, ls_error *error);

/* LS_BAD_INPUT, or LS_BAD_LAUNCH for the number of ranks, with a line that says what to change. */
int mode_check_options(const mode_options *self, int size, int64_t global_batch, ls_error *error);

/* Of a strict run. */
int64_t mode_options_lanes(const mode_options *self);

/* Their part of a mode's settings. `strict` may be false where they say true: the same run without
 * lanes, to price them. */
void mode_take_options(const mode_options *self, bool strict, mode_settings *out);

#endif
