/* Training: the settings of a run, and the one function that makes it. */
#ifndef LOCKSTEP_TRAIN_TRAIN_H
#define LOCKSTEP_TRAIN_TRAIN_H

#include "base/error.h"
#include "launch/launch.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct train_settings {
    const char *data, *model, *mode, *device, *precision, *optimizer, *results;
    const char *comm, *augment, *data_place, *ablate, *grad_comm, *factor_comm;
    const char *tensorboard;              /* "on" or "off" */
    const char *certificate;              /* "on" or "off" */
    const char *plan_cache;               /* a file, "off", or NULL: in the user's cache folder */
    int64_t batch_per_rank, global_batch; /* as given; 0: not given */
    int64_t epochs, seed, threads, profile, certificate_every;
    double learning_rate, weight_decay, momentum, bucket_mb, comm_timeout;
    int64_t lanes; /* 0: not given */
    bool oversubscribe, step_log, verbose, no_graph, share_gpu, strict;
} train_settings;

/* Lanes of a --strict run where none are given: independent of the number of ranks, as they must
 * be for runs to match. */
enum { DEFAULT_LANES = 4 };

#define ABLATE_CHOICES "none|comm|data"

/* Runs the whole job on this rank, after launch_start: collective over all ranks.
 * `options_text`: option_describe's text, compared between the ranks. */
int train_run(launch *me, const train_settings *settings, const char *options_text,
              const char *command_line, ls_error *error);

/* Collective, after launch_start: LS_BAD_INPUT where some ranks were asked for help (`help`) and
 * others to train, which would wait for them. */
int train_agree_on_help(const launch *me, bool help, ls_error *error);

#endif
