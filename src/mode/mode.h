/* A mode: when to communicate what. single computes alone; ddp reduces buckets of the gradient
 * while backward still runs; zero1 and zero2 do, and share out the optimizer's state and the
 * gradient; fsdp shards parameters too; gemini does, and keeps what does not fit in a file; dp is
 * DataParallel's data flow across ranks. One file a mode, ended by its mode_interface; modes.c
 * holds the list.
 *
 * A step, in order: begin (a staged batch, input/batch.h, reaches every rank's pass),
 * network_forward, loss, network_backward (with the mode's hooks), finish (gradients are final
 * where the update is made), then the optimizer on the ranks that update. All of it may be
 * recorded into a graph where `capturable`. What is held where is the store's. */
#ifndef LOCKSTEP_MODE_MODE_H
#define LOCKSTEP_MODE_MODE_H

#include "base/share.h"
#include "comm/comm.h"
#include "device/ops.h"
#include "input/batch.h"
#include "mode/step_clock.h"
#include "mode/store.h"
#include "model/network.h"

/* Which linear layers' gradients ddp exchanges as factors (mode/factors.h). */
typedef enum { FACTORS_AUTO, FACTORS_ON, FACTORS_OFF } factor_choice;

/* The ranks over which a sharded mode cuts one copy of what it shards (comm/groups.h); where there
 * are several groups, each has a copy. */
typedef struct shard_group {
    int size, place; /* its ranks, and this rank's place among them */
    int copy;        /* this group's number */
    comm *comm;      /* of the group */
} shard_group;

typedef struct mode_settings {
    int rank, size;
    comm *comm;        /* on device memory; NULL: one rank, in a mode that communicates nothing */
    comm *control;     /* host memory: choices travel by it; may be NULL where none are left open */
    shard_group group; /* zero1, zero2, fsdp, gemini; size 0: all ranks, by `comm` */
    bool between_nodes; /* the ranks are on several nodes */
    device *device;
    device_stream *stream;
    const graph *graph;
    network *network;
    const char *const *moments; /* names of the arrays the optimizer keeps; NULL at their end */
    bool averages;              /* and a moving average of the parameters, where they are updated */
    bool sums_squares;          /* --clip-norm: mode.squares is there */
    size_t bucket_bytes;        /* ddp: bytes a bucket on their way, at most; 0: ddp chooses */
    dtype gradient_type;        /* ddp: of gradients on their way, DTYPE_F32 or DTYPE_BF16 */
    factor_choice factors;      /* ddp */
    float label_smoothing;      /* of training's loss: loss_arguments */
    uint64_t seed;              /* of what ops draw (op_draws) */
    double measure_seconds;     /* ddp: for what is measured before it chooses, all in all */
    int beside;            /* samples that a batch's memory is to have room for behind its own */
    bool sync_batchnorm;   /* ddp: what ops sum over a batch is all ranks' (mode/batch_sums.h) */
    int prefetch;          /* fsdp: groups of units on their way beside the one in use */
    bool keeps_parameters; /* fsdp: gathered in forward, kept for backward */
    size_t device_memory;  /* gemini: bytes that the plan may have on the device; 0: no bound */
    const char *offload_folder; /* gemini: for what does not fit; NULL: there is none */
    int lanes; /* --strict: of the global batch, over all ranks (mode/lanes.h); 0: not strict */
    int micro_batches;    /* a step's, one after the other (mode/accumulate.h); 0 is 1 */
    int64_t global_batch; /* the largest that will come */
    int64_t training_batch, last_training_batch; /* ddp: the global counts of training's batches */
    /* Where the update is made piece by piece, beside backward: told by the mode, in training, on
     * the ranks that update, which elements of the flat gradient are final and whose parameters
     * this step reads no more, both in the order of `update_stream`. A mode tells each element
     * once a step, before finish() has returned, or none at all. NULL: nobody asks. */
    int (*settled)(void *context, device_stream *stream, const store_slice *slice, ls_error *error);
    /* Another rank has updated these: they are here now, and are counted as settled. */
    int (*settled_elsewhere)(void *context, device_stream *stream, const store_slice *slice,
                             ls_error *error);
    /* So many elements are another rank's, and the mode refreshes their packed copies itself, when
     * they have come: they count as settled. */
    void (*settled_later)(void *context, size_t count);
    /* What is settled in this step is updated then, not at the step's end: the same on all ranks. A
     * mode that publishes finds it updated when `settled` returns, in the update's stream. */
    bool (*updates)(void *context);
    void *settled_context;
    bool updates_pairs; /* an update may be of two ranks' gradients: update_pair (mode/pair.h) */
    /* Nobody reads a gradient after its update: single then holds one unit's at a time, where
     * updates are made beside backward. */
    bool forgets_gradients;
    device_stream *update_stream; /* may be `stream`; where settled: never NULL */
} mode_settings;

/* How a unit's gradient is exchanged. The seconds that were weighed, NAN where none were measured:
 * of its all-reduce, of gathering its factors with the products that this adds, and how far both
 * together vary from call to call (mode/exchange.h). */
typedef struct unit_exchange {
    bool factors;
    /* Why it was not weighed: the rows of all ranks are more than its gradient; no time was left.
     */
    bool outgrown, unmeasured;
    double reduce_seconds, factor_seconds, spread_seconds;
} unit_exchange;

/* What a mode chose for the exchange of gradients, for the run's header. */
typedef struct mode_exchange {
    bool used;                        /* false: this mode has no such choice */
    size_t bucket_most, bucket_worth; /* elements: mode/buckets.h */
    bool update_shared;               /* mode/pair.h */
    int bucket_count;
    size_t first_bucket_bytes, largest_bucket_bytes; /* as they travel */
    /* Of one hop of an all-reduce, measured (comm/link/link.h); NAN: not measured. */
    double latency_seconds, bytes_per_second;
    double measured_seconds; /* that measuring took; 0: nothing was measured */
    unit_exchange *units;    /* [unit_count] */
} mode_exchange;

/* What is computed at once: a batch, or (--accumulate, mode/accumulate.h) one of a step's parts. */
typedef struct micro_batch {
    int number;
    int64_t global_count; /* of the batch that the ranks share out now */
    share loaded;         /* of what this rank loaded: positions in the batch */
    int count;            /* samples that this rank computes */
    int64_t place;        /* of the first of them in the step's batch over all ranks */
} micro_batch;

typedef struct mode_interface mode_interface;
typedef struct lanes lanes;
typedef struct accumulator accumulator;

typedef struct mode {
    const mode_interface *is;
    mode_settings settings;
    network_hooks hooks; /* for network_forward and network_backward */
    store *store;
    bool has_packed; /* the network's packed copies lie in this mode's store */
    /* Each lane of this rank has a row of gradients of its own (store_row_stride) and totals; one
     * where lanes is NULL. */
    int lane_count;
    size_t gradient_stride; /* elements from a row to the next, where hooks.gradient says */
    lanes *lanes;
    micro_batch at_hand;      /* mode_begin's; of lanes its number alone */
    op_draws draws;           /* of at_hand */
    accumulator *accumulator; /* NULL: a step is one micro-batch */
    double *squares;          /* device memory, of mode_count_squares sums; NULL: nobody asks */
    loss_totals *totals; /* device memory [lane_count]; of samples whose loss this rank computed */
    mode_exchange exchange;
    device_event *settled_event, *updated_event; /* between the two streams; NULL: they are one */
    step_clock *clock; /* the trainer marks a step's phases, the mode what it waits for */
    void *state;       /* the mode's own */
} mode;

struct mode_interface {
    const char *name;
    bool one_rank;   /* runs on exactly one */
    bool exchanges;  /* has --grad-comm, --factor-comm and buckets */
    bool adds_sums;  /* has --sync-batchnorm */
    bool has_lanes;  /* --strict: computes its share in lanes (mode/lanes.h) */
    bool capturable; /* nothing between begin and the update needs the host */
    bool takes_made; /* begin takes a batch that is made already, in either place */
    bool has_slots;  /* where parameters and gradients lie changes while a step goes on */
    bool adds_parts; /* adds up a step's micro-batches itself where there are no lanes */
    bool shards;     /* has --shard-within: cuts what it holds over a group of ranks */
    bool scatters;   /* rank 0 loads the whole batch, and begin shares it out */
    bool offloads;   /* has --offload-dir, --placement */
    /* Parameters are gathered for each use, and their packed copies lie where the mode says. NULL:
     * never. */
    bool (*gathers)(const mode_settings *settings);
    /* Rank and size for the loader's share of each global batch; size 0: this rank loads nothing.
     */
    void (*loader_share)(const mode_settings *settings, int *rank, int *size);
    /* Adds what setup will hold or take, by its use: mode_plan_memory. NULL: all is held whole. */
    void (*plan_memory)(const mode_settings *settings, size_t bytes[MEMORY_KINDS]);
    int (*setup)(mode *self, ls_error *error);
    void (*teardown)(mode *self);
    /* After it, pass_input holds this rank's samples of the micro-batch at_hand, and the
     * parameters are the current ones. */
    int (*begin)(mode *self, const input_batch *batch, pass *pass, ls_error *error);
    /* Of the micro-batch at_hand. Adds to *totals; in training also puts the gradient (over the
     * batch's global_count) into pass_logits_gradient. */
    int (*loss)(mode *self, const input_batch *batch, pass *pass, ls_error *error);
    int (*finish)(mode *self, ls_error *error);
    /* Loss scaling: *overflow (device memory) becomes not 0 on every rank that updates where it is
     * on any of them. NULL: one rank decides alone. */
    int (*agree_overflow)(mode *self, int32_t *overflow, ls_error *error);
    /* values[count] (device memory), each but 0 on one rank of a group, becomes the sum over a
     * group's ranks. NULL: each rank that updates has all gradients. */
    int (*add_up)(mode *self, double *values, size_t count, ls_error *error);
    /* All of this rank's own updates of this step are in `stream`: the other ranks get them, and
     * theirs are settled_elsewhere, in `stream` too, or settled_later. NULL: nobody waits for
     * them. */
    int (*publish)(mode *self, device_stream *stream, ls_error *error);
    /* Parameters were written, on each rank at least those that it updates: what it lacks of the
     * others comes. Collective. NULL: each rank has written all that it holds. */
    int (*collect)(mode *self, ls_error *error);
    /* The parameters changed (an update, an initialisation): what the other ranks have is old. */
    void (*parameters_changed)(mode *self);
};

extern const char mode_choices[]; /* "single|dp|ddp|..." */

/* LS_BAD_LAUNCH where the mode does not fit the number of ranks. */
int mode_check(const char *name, int size, ls_error *error);
/* Collective. */
int mode_create(const char *name, const mode_settings *settings, mode **out, ls_error *error);
void mode_destroy(mode *self); /* NULL is fine */

/* A step's parts: mode_interface's and network_forward, network_backward, or all lanes'. begin()
 * and the loss stand in forward's time. Of a step in micro-batches all four are called for each,
 * `number` 0, 1, ... (settings.micro_batches); finish() once, after the last. */
int mode_begin(mode *self, const input_batch *batch, int number, ls_error *error);
int mode_forward(mode *self, const input_batch *batch, ls_error *error);
int mode_loss(mode *self, const input_batch *batch, ls_error *error);
int mode_backward(mode *self, ls_error *error);

/* The network's input of a batch, in its place, from what was staged in `stream`: begin then finds
 * it made. Of a mode that takes_made, a step of which is one micro-batch. */
int mode_make(mode *self, device_stream *stream, const input_batch *batch, ls_error *error);

/* network_plan_id, and where the mode chose how gradients are exchanged, a hash over that too:
 * buckets and factors decide the order of sums. With lanes that is fixed: their number decides. */
void mode_plan_id(const mode *self, char out[17]);

/* What the store holds of parameters was written from outside (an initialisation, a checkpoint):
 * packed copies are made anew, and what other ranks have of them is old. */
int mode_parameters_written(mode *self, ls_error *error);

/* What its last step has left on its way is there: before the comm serves anybody else, another
 * mode too. */
int mode_rest(mode *self, ls_error *error);

/* Each rank's buffers become rank 0's, with --sync-batchnorm the last rank's, which the run's are:
 * before an evaluation. Collective. */
int mode_share_buffers(mode *self, ls_error *error);

/* What this rank will hold for training, by its use, before any of it is taken: what mode_memory
 * says once a mode of these settings is there, and the network sealed. The network's plans are
 * prepared; of the comm only what it offers is asked, and NULL is a comm without. Where ddp will
 * choose by measuring (factors) the plan has room for both. LS_BAD_INPUT: there is no such mode. */
int mode_plan_memory(const char *name, const mode_settings *settings, size_t bytes[MEMORY_KINDS],
                     ls_error *error);
/* The same of what is held: of its mode and its network. */
void mode_memory(const mode *self, size_t bytes[MEMORY_KINDS]);

/* Sums of squares of all units' gradients, grain by grain (device/squares.h). */
size_t mode_count_squares(const graph *graph);

/* settings->group, or all ranks. */
static inline shard_group mode_group(const mode_settings *settings) {
    shard_group all = {settings->size, settings->rank, 0, settings->comm};
    return settings->group.size > 0 ? settings->group : all;
}

/* This rank makes updates. */
static inline bool mode_updates(const mode *self) {
    return store_updates(self->store);
}

/* What was put into update_stream is done before what comes next in `stream`. */
int mode_join_updates(mode *self, ls_error *error);

/* Samples of micro-batch `number` of a global batch that this rank computes, before the mode
 * exists: of the settings rank, size and micro_batches are asked for. */
int mode_micro_count(const char *name, const mode_settings *settings, int64_t global_count,
                     int number, int *out, ls_error *error);

/* Whose share the loader of this rank reads, before the mode exists. */
int mode_loader_share(const char *name, const mode_settings *settings, int *rank, int *size,
                      ls_error *error);

/* Samples of a global batch of `global_count` that this rank computes. */
static inline int mode_local_count(const mode *self, int64_t global_count) {
    return (int)share_of(global_count, self->settings.rank, self->settings.size).count;
}

#endif
