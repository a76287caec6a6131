/* What a run leaves behind: the log (stdout and log.txt), epochs.csv, summary.csv. The only place
 * that formats results. The trainer fills these structs; nothing here measures. A value that was
 * not measured is NAN (or an empty string) and is printed as an empty CSV field and as "-". */
#ifndef LOCKSTEP_REPORT_RUN_H
#define LOCKSTEP_REPORT_RUN_H

#include "base/error.h"
#include "base/span.h"
#include "base/usage.h"
#include "report/layer_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rank_facts {
    int rank;
    char host[64];
    char device[128];
    int numa_node;  /* of the cores; -1 unknown */
    char cores[64]; /* "0-3" */
    int threads;
    /* A GPU's: "" and whatever where the device is none. */
    char gpu_uuid[48]; /* "GPU-8-4-4-4-12": its tail stands in the header */
    int gpu_numa_node; /* -1 unknown */
    char driver[32];   /* "580.159 (CUDA 13.0)" */
} rank_facts;

typedef struct rank_usage {
    double peak_memory_bytes; /* VmHWM */
    double cpu_utilisation;   /* CPU seconds of the training time over (training time * threads) */
    gpu_usage gpu;            /* the monitor's; all zero where there was none */
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
    double test_loss, test_accuracy;
    double seconds; /* training time of this epoch */
    double evaluation_seconds;
    double suspended_seconds; /* the longest that a rank did not run in this epoch's training */
    int64_t images, steps;    /* trained on in this epoch, by all ranks together */
    phase_seconds phases;
    bool best; /* highest test accuracy so far */
    /* Where losses are scaled (fp16); loss_scale 0: they are not. */
    int64_t skipped_updates; /* steps of this epoch whose gradients overflowed */
    double loss_scale;       /* at the epoch's end */
    /* Over the ranks; NAN: not measured. */
    double cpu_utilisation;   /* mean: CPU seconds over (this epoch's training time * threads) */
    double peak_memory_bytes; /* maximum: resident, since the process started */
    double gpu_utilisation;   /* mean, of this epoch's training time */
    double gpu_peak_memory_bytes; /* maximum: in use on a GPU so far, by any process */
    const rank_epoch *ranks; /* [ranks], until run_epoch returns; NULL: waiting was not measured */
} epoch_record;

typedef struct run_facts {
    char version[64];      /* of lockstep */
    char program_hash[17]; /* of the binary, 16 hex digits: two builds of a version are two programs
                            */
    char command_line[1024];
    char started[40]; /* ISO 8601 with zone */
    char launcher[32], slurm_job_id[32];
    /* Variables that change something ("NAME=value; ..."): of computing and times, of communication
     * alone, and those that were taken out (launch/environment.h). */
    char environment[1024], communication_environment[1024], environment_taken_out[512];
    int ranks, nodes;
    char mode[16], model[32], device[16], device_library[160], precision[16], comm[16];
    /* How gradients are exchanged. `grad_comm`: the type that travels. */
    char grad_comm[8];
    char factor_comm[8];     /* as asked for; "" (and all below empty) where a mode has no choice */
    char factor_layers[256]; /* that go as factors: "fc1;fc2" */
    char factor_note[512];   /* the reasons, for the header */
    int lanes;               /* of a --strict run; 0: it is none */
    bool buckets_chosen;     /* by the measured network, not given */
    bool update_shared;      /* large buckets are summed and updated a half a rank (mode/pair.h) */
    int buckets;
    double largest_bucket_bytes, first_bucket_bytes;
    double exchange_seconds; /* that measuring for this took; 0: nothing was measured */
    double hop_latency_seconds, hop_bytes_per_second; /* of an all-reduce; NAN: not measured */
    char
        comm_note[160]; /* why this comm: "ranks 0 and 1 share a GPU: staged through host memory" */
    /* How steps of training run on a device that has graphs: "yes", or "no (WHY)"; "" where the
     * device has none. */
    char graph[48];
    bool no_graph; /* --no-graph: the user asked for steps without one */
    char data_folder[512], dataset_id[65];
    int64_t train_images, test_images, parameters;
    char augment[16];     /* --augment: "none", "crop-flip" */
    char warmup_rule[64]; /* what was run before the training time: "2 steps of each batch size" */
    int64_t batch_per_rank, global_batch; /* batch_per_rank 0: the global batch does not divide */
    int epochs;
    int64_t seed;
    char optimizer[16];
    double learning_rate, momentum, weight_decay; /* NAN: this optimizer has none */
    char versions[512]; /* "Open MPI 4.1.4, PMIx 4.2.2, HDF5 1.10.8, oneDNN 2.6.3, hwloc 2.9.0" */
    char scaling[16];   /* "weak" (--batch-per-rank given) or "strong" (--global-batch) */
    bool oversubscribed;
    char ablate[16];   /* "comm" or "data": what training left out, which is no training then; "" */
    int profile_steps; /* --profile; 0: none */
    bool tensorboard;  /* write an event file */
    bool certified;    /* write certificate.csv */
    int64_t certificate_every;   /* steps between hashes of parameters; 0: epochs' ends only */
    const rank_facts *rank_list; /* [ranks] */
} run_facts;

/* What a step cannot be faster than, and what that was computed from. NAN: not measured. */
typedef struct step_rates {
    double seconds; /* of one step on rank 0, without communication */
    double flop_per_second, bytes_per_second;
} step_rates;

typedef struct run_totals {
    double training_seconds; /* sum of the epochs' training time: the first real step to the last */
    double setup_seconds, warmup_seconds, evaluation_seconds, total_seconds;
    double start_to_first_step_seconds; /* from process start, warm-up included */
    double start_cpu_seconds;           /* until then, user and system: the mean of the ranks */
    /* In which a rank did not run (monitor/pulse.h): of the training time, and of the run. */
    double suspended_seconds, suspended_total_seconds;
    int64_t images, steps;
    phase_seconds phases;
    double final_train_loss, final_test_loss, final_test_accuracy, best_test_accuracy;
    int best_epoch;
    int64_t sampled_steps;        /* that the phases were timed at; 0: every step */
    int64_t skipped_updates;      /* as in epoch_record, of all epochs */
    double loss_scale;            /* at the end; 0: losses were not scaled */
    step_rates step_floor;        /* on a device that runs beside the host */
    double strict_cost;           /* a strict step's time over a plain one's, less 1; NAN */
    char plan_id[65];             /* which implementations ran */
    char parameters_hash[17];     /* of the bits of the parameters at the end, 16 hex digits */
    char certificate_hash[17];    /* of certificate.csv's bytes; "": there is none */
    const rank_usage *rank_usage; /* [ranks] */
    const rank_epoch *ranks;      /* [ranks], of all epochs; NULL: waiting was not measured */
} run_totals;

typedef struct run run;

/* Rank 0 only writes; on other ranks every call is a no-op: *out is NULL where `facts` is NULL, and
 * every function takes a NULL self. Creates the folder; refuses (LS_BAD_INPUT) one that already
 * holds a summary.csv. Tries a write at once so that an unusable place is known before training:
 * one that cannot be written to is LS_BAD_INPUT too, a full disk LS_FAILED, then as later. `facts`
 * is copied. */
int run_open(const char *folder, const run_facts *facts, run **out, ls_error *error);
int run_header(run *self, ls_error *error);
/* True where a progress line may be drawn now: ask before reading a loss for it. */
bool run_wants_progress(const run *self);
/* On a terminal only, at most 10 times a second: "epoch 2/10  step 310/782  loss 0.71  ...". */
void run_progress(run *self, int epoch, int64_t step, int64_t steps, double images_per_second,
                  double loss);
/* One line in the log, one row in epochs.csv (base/row_file.h). */
int run_epoch(run *self, const epoch_record *epoch, ls_error *error);
/* The mean loss of an update (1, 2, ...), for the event file alone: kept in memory for now. */
int run_step(run *self, int64_t step, double loss, ls_error *error);
/* A line for the log only. */
int run_note(run *self, ls_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
typedef struct run_profile {
    const span *spans; /* [span_count], of all ranks, in one clock */
    size_t span_count;
    int64_t lost;               /* spans that there was no room for */
    double uncertainty_seconds; /* of one rank's clock against another's */
    const layer_row *rows;      /* [row_count] */
    size_t row_count;
    layer_rates rates;
    bool eager; /* the run's other steps were replayed from graphs */
} run_profile;

/* trace.json, layers.csv, and a table of them. */
int run_write_profile(run *self, const run_profile *profile, ls_error *error);
/* Closing table, ranks.csv (where the epochs had `ranks`), summary.csv. The run is complete only
 * when summary.csv exists. */
int run_finish(run *self, const run_totals *totals, ls_error *error);
void run_close(run *self);

#endif
