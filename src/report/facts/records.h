/* What a run says of itself: its facts, known before training; a record an epoch; its totals. The
 * trainer fills these in. A value that was not measured is NAN (or an empty text). */
#ifndef LOCKSTEP_REPORT_FACTS_RECORDS_H
#define LOCKSTEP_REPORT_FACTS_RECORDS_H

#include "base/text_buffer.h"
#include "base/usage.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a rank holds for training, in bytes: as it was planned before any of it was taken, but for
 * what ddp chose by measuring. */
typedef struct memory_use {
    double parameters;  /* and buffers */
    double gradients;   /* lanes have a row each */
    double optimizer;   /* moments, and the parameters' average */
    double packed;      /* copies of the parameters, as products want them */
    double activations; /* and their gradients, and the batch */
    double workspace;
    double communication; /* of the mode's own */
    double loader;     /* samples in memory, batches read ahead; on a GPU what it holds of them */
    double checkpoint; /* the copy of the state that is being written */
    double program;    /* resident before the rest was taken: the program, libraries, plans */
    /* All that is held against a measurement: on a GPU what its memory holds, else all of it. */
    double planned;
    double limit; /* that `planned` may be at most; 0: no limit is known */
} memory_use;

/* Gathered from the ranks, so of one size: that of launch's and of the device's own texts. */
typedef struct rank_facts {
    int rank;
    char host[256];
    char device[128];
    int numa_node;   /* of the cores; -1 unknown */
    char cores[128]; /* "0-3" */
    int threads;
    /* A GPU's: "" and whatever where the device is none. */
    char gpu_uuid[48]; /* "GPU-8-4-4-4-12": its tail stands in the header */
    int gpu_numa_node; /* -1 unknown */
    char driver[32];   /* "580.159 (CUDA 13.0)" */
    memory_use memory;
} rank_facts;

typedef struct rank_usage {
    double peak_memory_bytes; /* VmHWM */
    /* What the plan is held against: the most that was taken of a GPU's memory; else VmHWM. */
    double most_held_bytes;
    double cpu_utilisation; /* CPU seconds of the training time over (training time * threads) */
    /* State in a file, what was moved of it, and how long the rank waited for that. */
    double offloaded_bytes, offload_moved_bytes, exposed_offload_seconds;
    gpu_usage gpu; /* the monitor's; all zero where there was none */
} rank_usage;

/* Where a rank's training time went, in seconds; means over ranks. They add up to `seconds` less
 * the loop's own overhead, which is printed as "other". */
typedef struct phase_seconds {
    double data;    /* waiting for the loader, making the batch */
    double forward; /* with the loss */
    double backward;
    double communication; /* exposed: the compute thread inside the comm */
    double optimizer;
    double
        waiting; /* in `communication`: for the slowest rank (train/balance.h); NAN: not measured */
} phase_seconds;

/* How the time that a rank was busy stood to the other ranks'. Zero bytes: not compared. */
typedef struct rank_pace {
    int64_t steps;                      /* that were compared */
    int64_t longer_steps;               /* busy for longer than the median of the other ranks */
    int64_t slow_steps;                 /* and for longer by PACE_SLOW of it at least */
    double own_seconds, others_seconds; /* sums over steps: its own, that median */
} rank_pace;
#define PACE_SLOW 0.05

/* One rank in one epoch, or in a run. */
typedef struct rank_epoch {
    double seconds; /* its own clock of the epoch's training time */
    phase_seconds phases;
    rank_pace pace;
    gpu_clocks clocks;
} rank_epoch;

typedef struct epoch_record {
    int epoch;
    double train_loss, train_accuracy; /* mean over the epoch's samples; accuracy in [0, 1] */
    /* NAN: the epoch was not evaluated (--validate-every). top5: the label is among the five
     * likeliest classes. */
    double test_loss, test_accuracy, test_top5_accuracy;
    double seconds;            /* training time of this epoch */
    double evaluation_seconds; /* NAN likewise */
    double suspended_seconds;  /* the longest that a rank did not run in this epoch's training */
    int64_t images, steps;     /* trained on in this epoch, by all ranks together */
    phase_seconds phases;
    bool best; /* highest test accuracy so far */
    /* Where losses are scaled (fp16); loss_scale 0: they are not. */
    int64_t skipped_updates; /* steps of this epoch whose gradients overflowed */
    double loss_scale;       /* at the epoch's end */
    double learning_rate;    /* of its last step */
    double gradient_norm;    /* mean over the updates, before clipping; NAN: not measured */
    /* Over the ranks; NAN: not measured. */
    double cpu_utilisation;   /* mean: CPU seconds over (this epoch's training time * threads) */
    double peak_memory_bytes; /* maximum: resident, since the process started */
    double gpu_utilisation;   /* mean, of this epoch's training time */
    double gpu_peak_memory_bytes; /* maximum: in use on a GPU so far, by any process */
    /* Of this epoch's training time, all GPUs and all hosts' CPU packages; NAN: not measured. */
    double gpu_energy_joules, cpu_energy_joules;
    const rank_epoch *ranks; /* [ranks], until run_epoch returns; NULL: waiting was not measured */
} epoch_record;

/* Members that facts.def and totals.def declare. */
#define MEMBER_TEXT(name)  const char *name; /* NULL is "" */
#define MEMBER_ID(name)    char name[65];
#define MEMBER_LIST(name)  text_buffer name;
#define MEMBER_INT(name)   int name;
#define MEMBER_INT64(name) int64_t name;
#define MEMBER_FLAG(name)  bool name;
#define MEMBER_REAL(name)  double name;

/* Known before training. The texts are whoever's made them. */
typedef struct run_facts {
#define FACT(type, name, ...) MEMBER_##type(name)
#define DERIVED(type, name, ...)
#include "report/facts/facts.def"
#undef DERIVED
#undef FACT
    const rank_facts *rank_list; /* [ranks] */
} run_facts;

/* What a step cannot be faster than, and what that was computed from. NAN: not measured. */
typedef struct step_rates {
    double seconds; /* of one step on rank 0, without communication */
    double flop_per_second, bytes_per_second;
} step_rates;

/* Known when it has trained. */
typedef struct run_totals {
#define TOTAL(type, name, ...) MEMBER_##type(name)
#define DERIVED(type, name, ...)
#include "report/facts/totals.def"
#undef DERIVED
#undef TOTAL
    phase_seconds phases;         /* of all epochs */
    step_rates step_floor;        /* on a device that runs beside the host */
    const rank_usage *rank_usage; /* [ranks] */
    const rank_epoch *ranks;      /* [ranks], of all epochs; NULL: waiting was not measured */
} run_totals;

/* What follows from these (derive.h). */
typedef struct run_derived {
#define FACT(type, name, ...)
#define TOTAL(type, name, ...)
#define DERIVED(type, name, ...) MEMBER_##type(name)
#include "report/facts/facts.def"
#include "report/facts/totals.def"
#undef DERIVED
#undef TOTAL
#undef FACT
} run_derived;

#endif
