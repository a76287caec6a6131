/* When a run saves its state, where, how much of it stays, and what it goes on from. */
#ifndef LOCKSTEP_TRAIN_CHECKPOINT_OPTIONS_H
#define LOCKSTEP_TRAIN_CHECKPOINT_OPTIONS_H

#include "base/option.h"

#include <stdint.h>

#define BEST_CHOICES "none|accuracy|loss"

typedef struct checkpoint_options {
    const char *every;  /* "200", "30s", "5m", "epoch"; NULL: no checkpoints */
    const char *folder; /* NULL: "checkpoints" in the run's */
    const char *best;   /* of BEST_CHOICES */
    const char *resume; /* "auto", "none", or a checkpoint */
    const char *allow;  /* "seed,data": what may be another than it was; NULL: nothing */
    const char *limit;  /* "90m", "auto": Slurm's, "none" */
    int64_t keep;
} checkpoint_options;

int checkpoint_add_options(option_groups *list, size_t offset, ls_error *error);

/* --checkpoint-every, taken apart; all 0: never but at the run's end. */
typedef struct save_schedule {
    int64_t steps;
    double seconds;
    bool epochs;
} save_schedule;
/* LS_BAD_INPUT says what was expected. */
int checkpoint_schedule(const checkpoint_options *options, save_schedule *out, ls_error *error);

/* --time-limit: the seconds that the process may run, INFINITY: none is known; of `auto` what is
 * left of the job by SLURM_JOB_END_TIME. */
int checkpoint_time_limit(const checkpoint_options *options, double *seconds, ls_error *error);

#endif
