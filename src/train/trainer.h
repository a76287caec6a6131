/* What a run holds while it runs (the train room's own). trainer.c reads as the phases of a run;
 * the other files of the room are one phase each. */
#ifndef LOCKSTEP_TRAIN_TRAINER_H
#define LOCKSTEP_TRAIN_TRAINER_H

#include "comm/comm.h"
#include "data/loader.h"
#include "mode/mode.h"
#include "report/run.h"
#include "report/step_log.h"
#include "train/optimizer.h"
#include "train/train.h"

typedef struct split {
    dataset *data;
    loader *loader;  /* NULL on a rank that loads nothing (dp, not root) */
    int64_t batches; /* of an epoch */
    int64_t last;    /* images of the last one */
} split;

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
    device_stream *stream;
    graph graph;
    network *network;
    mode *mode;
    optimizer optimizer;
    split train, test;
    run *run;
    step_log *step_log;
    rank_facts *ranks;
    rank_usage *usage;

    double started_seconds; /* clock at train_run's start */
    double setup_seconds, warmup_seconds, start_to_first_step_seconds;
    double cpu_seconds_training;
    int64_t steps; /* optimizer steps so far */
    run_totals totals;
    epoch_record best;
} trainer;

/* agree.c: the same options, version, binary and data everywhere? */
int trainer_agree(trainer *self, ls_error *error);

/* setup.c: data, device, model, mode, loaders, in this order; trainer_close undoes all of it. */
int trainer_setup(trainer *self, ls_error *error);
void trainer_close(trainer *self);

/* header.c: gathers every rank's facts and opens the run folder. */
int trainer_open_run(trainer *self, ls_error *error);

/* warmup.c: every plan and collective once or twice on scratch state; then the real initial
 * parameters. */
int trainer_warm_up(trainer *self, ls_error *error);

/* step.c: one global batch. `phases` may be NULL. */
int trainer_train_step(trainer *self, const mode_batch *batch, phase_seconds *phases,
                       ls_error *error);
int trainer_evaluation_step(trainer *self, const mode_batch *batch, ls_error *error);

/* epoch.c: one epoch of each, totals over all ranks. */
int trainer_train_epoch(trainer *self, epoch_record *record, ls_error *error);
int trainer_evaluate(trainer *self, epoch_record *record, ls_error *error);

/* finish.c: totals, usage and the closing table. */
int trainer_finish(trainer *self, ls_error *error);

/* Samples in batch `index` of a split. */
static inline int64_t split_batch_images(const split *split, int64_t index, int64_t global_batch) {
    return index == split->batches - 1 ? split->last : global_batch;
}

#endif
