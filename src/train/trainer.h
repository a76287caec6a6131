/* What a run holds while it runs (the train room's own). trainer.c reads as the phases of a run;
 * the other files of the room are one phase each. */
#ifndef LOCKSTEP_TRAIN_TRAINER_H
#define LOCKSTEP_TRAIN_TRAINER_H

#include "comm/comm.h"
#include "doctor/doctor.h"
#include "mode/mode.h"
#include "monitor/monitor.h"
#include "monitor/pulse.h"
#include "report/ranks_csv.h"
#include "report/run.h"
#include "report/step_log.h"
#include "trace/trace.h"
#include "train/balance.h"
#include "train/certificate.h"
#include "train/feed.h"
#include "train/optimizer.h"
#include "train/train.h"

#include <string.h>

/* A training step recorded for one global count and place of its batch, replayed by one launch. */
typedef struct step_recording {
    int64_t global_count;
    int place;
    device_graph *graph;
} step_recording;

enum { MAX_RECORDINGS = 2 * NETWORK_MAX_INPUTS }; /* the full and the last batch, in each place */

/* What the device's stream writes to pinned memory as it goes, for a watcher that finds it standing
 * still. */
typedef enum { PLACE_IDLE, PLACE_FORWARD, PLACE_BACKWARD, PLACE_OPTIMIZER } step_place;

typedef struct step_progress {
    uint32_t place;   /* a step_place */
    step_state state; /* as the last step that ended left it */
} step_progress;

typedef struct trainer {
    launch *me;
    const train_settings *settings;
    const char *options_text, *command_line;
    int64_t global_batch;
    const char *scaling; /* "weak" or "strong" */

    comm *control; /* host memory: agreement, totals */
    comm *comm;    /* device memory: the mode's */
    launch_binding binding;
    device *device;
    device_stream *stream, *update_stream; /* the second may be the first */
    size_t free_bytes; /* of the device, before anything was allocated; 0: no limit of its own */
    graph graph;
    network *network;
    mode *mode;
    optimizer optimizer;
    feed train, test;
    mode_batch next; /* of training: where `made`, the batch that comes next */
    bool records;    /* steps are recorded into graphs */
    step_recording recordings[MAX_RECORDINGS];
    step_progress *progress; /* pinned; NULL alone */
    pulse *pulse;
    monitor *monitor;      /* NULL on a device without a UUID */
    comm *ablated;         /* --ablate comm: inside `comm`, or it; else NULL */
    trace *trace;          /* --profile; else NULL */
    int64_t profile_first; /* step of epoch 1 (0, 1, ...) where the profile begins */
    run *run;
    step_log *step_log;
    step_certificate certificate;
    findings examined; /* the list on rank 0 */
    rank_facts *ranks;
    rank_usage *usage;
    balance balance;
    rank_epoch *rank_epochs, *rank_sums; /* [size]: of this epoch, of all so far */

    double started_seconds; /* clock at train_run's start */
    double setup_seconds, warmup_seconds, start_to_first_step_seconds, start_cpu_seconds;
    double cpu_seconds_training;
    int64_t steps;                     /* optimizer steps so far */
    int told_fallbacks, told_refusals; /* of the device's remarks */
    bool plans_differ;                 /* between the ranks of a strict run */
    run_totals totals;
    epoch_record best;
} trainer;

/* agree.c: the same options, version, binary and data everywhere? */
int trainer_agree(trainer *self, ls_error *error);

/* examine.c: the doctor's quick checks once device and cores are known; and rank 0's lines about
 * them below the header. */
int trainer_examine(trainer *self, ls_error *error);
int trainer_note_examination(trainer *self, ls_error *error);

/* gpus.c: what a run on GPUs needs beside the device itself. */
/* Two ranks on one GPU (by UUID) are an error without --share-gpu. */
int trainer_check_gpus(trainer *self, ls_error *error);
/* The monitor of this rank's GPU, and its samples' way into gpu.csv. Collective. */
int trainer_open_monitor(trainer *self, ls_error *error);
int trainer_write_samples(trainer *self, ls_error *error);
/* Every rank's plans take what rank 0 measured: rank 0 prepares first, the others import. */
int trainer_share_choices(trainer *self, ls_error *error);
/* Where rank 0 keeps its choices between runs; "" where there is no place for it. */
void trainer_plan_cache(const trainer *self, char *out, size_t capacity);

/* `status` of an allocation that grows with the batch: where it failed for want of memory, the text
 * gains the largest batch that would fit. Returns the status. */
int trainer_fit(trainer *self, int status, ls_error *error);

/* setup.c: data, device, model, mode, loaders, in this order; trainer_close undoes all of it. */
int trainer_setup(trainer *self, ls_error *error);
void trainer_close(trainer *self);

/* What settings, network and data say of the mode to make. */
mode_settings trainer_describe_mode(trainer *self);

/* price.c: --strict: totals.strict_cost, and a line about it. Before the real initial state. */
int trainer_price_strictness(trainer *self, ls_error *error);

/* fallbacks.c: what a library refused since the last call, and what computes instead, as lines of
 * the log. Collective. */
int trainer_tell_fallbacks(trainer *self, ls_error *error);

/* header.c: gathers every rank's facts and opens the run folder. */
int trainer_open_run(trainer *self, ls_error *error);

/* warmup.c: every plan and collective once or twice on scratch state; then the real initial
 * parameters. */
int trainer_warm_up(trainer *self, ls_error *error);
/* What it does, for comparisons: "2 steps of each batch size". */
void trainer_describe_warmup(char *out, size_t capacity);

/* step.c: one global batch. A sampled step is never a replayed one. */
int trainer_train_step(trainer *self, const mode_batch *batch, bool sampled, ls_error *error);
/* After a step was put into the stream: batch `index` (0, 1, ...) is made beside it. */
int trainer_look_ahead(trainer *self, int64_t index, ls_error *error);
/* Batch `index`: made ahead, or from the feed. */
int trainer_next_batch(trainer *self, int64_t index, mode_batch *out, ls_error *error);
int trainer_evaluation_step(trainer *self, const mode_batch *batch, ls_error *error);
/* Records a training step of this batch's size, in each place that a batch may lie in. */
int trainer_record_step(trainer *self, const mode_batch *batch, ls_error *error);
void trainer_forget_recordings(trainer *self);

/* floor.c: rank 0 of a device that runs beside the host, or of a run with --profile: what it does
 * at its best, and so a step's rows with their floors; totals.step_floor. Elsewhere there are no
 * rows. A refusal is a line of the log. The caller frees `rows`. */
typedef struct step_floor {
    layer_rates rates;
    layer_row *rows; /* [row_count], seconds 0; NULL: not measured */
    size_t row_count;
} step_floor;
int trainer_measure_floor(trainer *self, step_floor *out, ls_error *error);

/* profile.c: --profile. */
/* LS_BAD_INPUT where an epoch has fewer steps. */
int trainer_check_profile(trainer *self, ls_error *error);
/* Opens the trace and puts it between the mode and its comm. */
int trainer_open_profile(trainer *self, ls_error *error);
/* Before and after the profiled epoch, out of its time. Collective. */
int trainer_align_profile(trainer *self, ls_error *error);
static inline bool trainer_is_profiled(const trainer *self, int epoch, int64_t step) {
    return self->trace && epoch == 1 && step >= self->profile_first &&
           step < self->profile_first + self->settings->profile;
}
/* All ranks' spans gathered, files and table written; no files where the floor was not measured.
 * Collective. */
int trainer_write_profile(trainer *self, const step_floor *floor, ls_error *error);

/* --ablate "comm", "data" or "none". */
static inline bool trainer_ablates(const trainer *self, const char *what) {
    return strcmp(self->settings->ablate, what) == 0;
}

/* epoch.c: one epoch of each, totals over all ranks. */
int trainer_train_epoch(trainer *self, epoch_record *record, ls_error *error);
int trainer_evaluate(trainer *self, epoch_record *record, ls_error *error);

/* usage.c: what the ranks used. Collective. */
/* Of an epoch that took this rank `cpu_seconds` of its cores. */
int trainer_epoch_usage(trainer *self, double cpu_seconds, epoch_record *record, ls_error *error);
/* Of the run; fills `usage`. */
int trainer_gather_usage(trainer *self, ls_error *error);

/* finish.c: totals, usage and the closing table. */
int trainer_finish(trainer *self, ls_error *error);

/* --lanes, of a strict run. */
static inline int64_t trainer_lanes(const trainer *self) {
    return self->settings->lanes ? self->settings->lanes : DEFAULT_LANES;
}

static inline precision trainer_precision(const trainer *self) {
    return precision_of(self->settings->precision);
}

#endif
