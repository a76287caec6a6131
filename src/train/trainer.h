/* What a run holds while it runs (the train room's own). trainer.c reads as the phases of a run;
 * each is a file of the room, and its header. */
#ifndef LOCKSTEP_TRAIN_TRAINER_H
#define LOCKSTEP_TRAIN_TRAINER_H

#include "comm/comm.h"
#include "comm/groups.h"
#include "doctor/doctor.h"
#include "input/input.h"
#include "mode/mode.h"
#include "monitor/monitor.h"
#include "monitor/pulse.h"
#include "report/run/ranks_csv.h"
#include "report/run/run.h"
#include "report/run/step_log.h"
#include "trace/trace.h"
#include "train/answers.h"
#include "train/balance.h"
#include "train/certificate.h"
#include "train/energy.h"
#include "train/ledger.h"
#include "train/memory.h"
#include "train/recordings.h"
#include "train/resume.h"
#include "train/saver.h"
#include "train/train.h"

#include <string.h>

/* When things were, and how long they took: trainer.c's, in seconds. */
typedef struct run_clocks {
    double started; /* the clock at train_run's start */
    double setup, warmup, to_first_step;
    double start_cpu;      /* of the process, before the first step */
    double training_cpu;   /* in the training time of the epochs so far */
    double offload_waited; /* of it, of this process's epochs: compute stood still for a file */
    double trained;        /* this attempt's own training time of whole epochs */
} run_clocks;

/* --profile: profile.c's. */
typedef struct step_profile {
    trace *trace;  /* NULL: none */
    int64_t first; /* step of epoch 1 (0, 1, ...) where it begins */
} step_profile;

/* What the log has of the device's remarks, fallbacks.c's; and of the loader's threads,
 * loading.c's. */
typedef struct told_remarks {
    int fallbacks, refusals;
    bool plans_differ; /* between the ranks of a strict run */
    int loader_threads;
} told_remarks;

/* What all ranks say of themselves, by rank. */
typedef struct all_ranks {
    rank_facts *facts;         /* gather_ranks.c's; their memory header.c's */
    balance balance;           /* of the epoch at hand: epoch.c's, as the next two */
    rank_epoch *epochs, *sums; /* of this epoch, of all so far */
    rank_usage *usage;         /* of the run: usage.c's */
} all_ranks;

/* The batch where the run finds it: batch_search.c's. */
typedef struct found_batch {
    bool open;          /* still to be found; global_batch is the smallest that there can be */
    const char *choice; /* "given", "auto", "auto:throughput"; of micro-batches "auto" too */
    char note[800];     /* how it was found; "": it was given */
} found_batch;

/* --placement auto: placement_search.c's. */
typedef struct found_placement {
    bool least;   /* under trial: nothing that can be elsewhere is on the device */
    size_t bytes; /* what of the device's memory is the run's; 0: --device-memory says */
    char note[320];
} found_placement;

/* What the device has counted so far: images by their losses, and updates. Read right before an
 * epoch's clock starts and right after it stops, so that the difference is what stood inside it. */
typedef struct done_work {
    int64_t images, steps, skipped;
    double norms; /* of the gradients, their sum; where they are clipped by it */
} done_work;

/* How far the epoch has come that goes on: epoch.c's. A checkpoint keeps it; what an earlier
 * attempt at the run had done of the epoch is counted as if it had been done here. */
typedef struct epoch_progress {
    int64_t first; /* batches that an earlier attempt trained on */
    done_work before;
    double parts[STEP_PARTS];                       /* trainer.parts */
    double seconds, cpu_seconds, suspended_seconds; /* of earlier attempts */
    double started, cpu_started, suspended_started; /* clocks, when this one began */
} epoch_progress;

struct trainer {
    launch *me;
    const train_settings *settings; /* of train_run: `own`, with the batch that was found */
    train_settings own;
    const char *options_text, *command_line;
    int64_t global_batch;
    found_batch batch;
    found_placement placement;
    const char *scaling; /* "weak" or "strong" */
    /* `lockstep evaluate`: nothing is trained, so there is no training split on the device, no
     * results folder, no warm-up. */
    bool evaluates;
    double epsilon; /* of the layer norms; 0: the model's own (load_weights.c) */

    comm *control; /* host memory: agreement, totals */
    comm *comm;    /* device memory: the mode's */
    comm *grouped; /* --shard-within: of this rank's group, beside `comm`; NULL: one group */
    comm_groups groups;
    comm *ablated[2]; /* --ablate comm: inside these two, or they; else NULL */
    engine engine;
    input input;
    graph graph;
    rate_table rates; /* of the run's steps */
    learner learner;
    recordings recordings;
    memory_plan memory; /* memory.c's */

    all_ranks ranks;
    pulse *pulse;
    monitor *monitor; /* NULL where there is neither a GPU nor a counter of CPU packages */
    step_profile profile;
    findings examined; /* the list on rank 0 */
    run *run;
    step_log *step_log;
    step_certificate certificate;
    told_remarks told;
    answers *answers; /* of what is evaluated; NULL: nobody asks */
    run_clocks clocks;
    int64_t steps;            /* optimizer steps so far */
    int64_t only_loaded;      /* --ablate compute: images that the loader has delivered here */
    double parts[STEP_PARTS]; /* seconds in this epoch's sampled steps */
    run_totals totals;
    int evaluations; /* epochs so far that were evaluated */
    epoch_record best;
    double best_loss; /* --best loss; INFINITY: no epoch has ended */
    epoch_progress at;
    epoch_energy energy;
    saver saver;
    uploader uploader;
    ledger ledger;
    resumed resumed;
};

/* --ablate "comm", "data", "compute" or "none". */
static inline bool trainer_ablates(const trainer *self, const char *what) {
    return strcmp(self->settings->ablate, what) == 0;
}

/* Whether the epoch is evaluated: --validate-every. */
static inline bool trainer_validates(const trainer *self, int epoch) {
    bool due = epoch % self->settings->validate_every == 0 || epoch == self->settings->epochs;
    return due && !trainer_ablates(self, "compute");
}

/* --lanes, of a strict run. */
static inline int64_t trainer_lanes(const trainer *self) {
    return mode_options_lanes(&self->settings->mode);
}

static inline precision trainer_precision(const trainer *self) {
    return precision_of(self->settings->model.precision);
}

#endif
