/* Training: the settings of a run, and the one function that makes it. */
#ifndef LOCKSTEP_TRAIN_TRAIN_H
#define LOCKSTEP_TRAIN_TRAIN_H

#include "base/error.h"
#include "comm/comm_options.h"
#include "device/device_options.h"
#include "input/input.h"
#include "launch/launch.h"
#include "mode/mode_options.h"
#include "model/model_options.h"
#include "train/checkpoint_options.h"
#include "train/optimizer.h"
#include "train/uploader.h"
#include "weights/weights_options.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct train_settings {
    const char *results, *ablate;
    const char *tensorboard;              /* "on" or "off" */
    const char *certificate;              /* "on" or "off" */
    const char *plan_cache;               /* a file, "off", or NULL: in the user's cache folder */
    int64_t batch_per_rank, global_batch; /* as given; 0: not given */
                                          /* batch_per_rank: BATCH_MOST, BATCH_FASTEST: found */
    int64_t epochs, validate_every, seed, profile, certificate_every, graph_steps;
    double label_smoothing, plan_seconds;
    input_choices input; /* seed and one_batch: filled in by set-up */
    model_options model;
    weights_options weights;
    device_options device;
    comm_options comm;
    mode_options mode;
    optimizer_settings optimizer;
    schedule_settings schedule;
    checkpoint_options checkpoints;
    upload_options upload;
    bool step_log, sample_cores, verbose, no_graph;
} train_settings;

/* --batch-per-rank auto, auto:throughput. */
enum { BATCH_MOST = -1, BATCH_FASTEST = -2 };

#define ABLATE_CHOICES "none|comm|data|compute"

/* train_options.c: all options of a command whose settings are a train_settings, or begin with one,
 * at most TRAIN_MOST_GROUPS - 1 groups of them; and those of "Ranks and devices" alone. */
enum { TRAIN_MOST_GROUPS = 32 };
int train_add_options(option_groups *list, ls_error *error);
int train_add_rank_options(option_groups *list, ls_error *error);
/* LS_BAD_INPUT where what every run needs was not given. The rest is checked where the number of
 * ranks is known, by the rooms. */
int train_check_options(train_settings *settings, ls_error *error);
/* As `lockstep train` without options has them. */
int train_default_settings(train_settings *out, ls_error *error);

/* Runs the whole job on this rank, after launch_start: collective over all ranks.
 * `options_text`: option_describe's text, compared between the ranks. *stopped: the run was told to
 * end, and has saved its state to go on from. */
int train_run(launch *me, const train_settings *settings, const char *options_text,
              const char *command_line, bool *stopped, ls_error *error);

#endif
