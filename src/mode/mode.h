/* A mode: when to communicate what. single computes alone; ddp reduces buckets of the gradient
 * while backward still runs; dp is DataParallel's data flow across ranks. One file a mode, ended by
 * its mode_interface; mode.c holds the list.
 *
 * A step, in order: mode_stage (a batch in host memory reaches the device), begin (it reaches every
 * rank's pass), network_forward, loss, network_backward (with the mode's hooks), finish (gradients
 * are final where the update is made), then the optimizer on the ranks where updates(). All but
 * mode_stage may be recorded into a graph where `capturable`. The mode owns the flat arrays. */
#ifndef LOCKSTEP_MODE_MODE_H
#define LOCKSTEP_MODE_MODE_H

#include "base/share.h"
#include "comm/comm.h"
#include "device/ops.h"
#include "mode/step_clock.h"
#include "model/network.h"

enum { MODE_MAX_MOMENTS = 2 };

/* Which linear layers' gradients ddp exchanges as factors (mode/factors.h). */
typedef enum { FACTORS_AUTO, FACTORS_ON, FACTORS_OFF } factor_choice;
#define FACTOR_CHOICES "auto|on|off"
#define GRADIENT_TYPES "fp32|bf16"

typedef struct mode_settings {
    int rank, size;
    comm *comm;    /* on device memory; NULL: one rank, in a mode that communicates nothing */
    comm *control; /* host memory: choices travel by it; may be NULL where none are left open */
    bool between_nodes; /* the ranks are on several nodes */
    device *device;
    device_stream *stream;
    const graph *graph;
    network *network;
    int moments;            /* flat arrays the optimizer keeps: Adam 2, SGD with momentum 1 */
    size_t bucket_bytes;    /* ddp: bytes a bucket on their way, at most; 0: ddp chooses */
    dtype gradient_type;    /* ddp: of gradients on their way, DTYPE_F32 or DTYPE_BF16 */
    factor_choice factors;  /* ddp */
    double measure_seconds; /* ddp: for what is measured before it chooses, all in all */
    int lanes; /* --strict: of the global batch, over all ranks (mode/lanes.h); 0: not strict */
    int64_t global_batch;                        /* the largest that will come */
    int64_t training_batch, last_training_batch; /* ddp: the global counts of training's batches */
    int height, width, channels, classes;
    float scale, shift;   /* pixels: x * scale + shift */
    augmentation augment; /* of training batches */
    /* Where the update is made piece by piece, beside backward: told by the mode, in training, on
     * the ranks where updates(), which elements of the flat gradient are final and whose
     * parameters this step reads no more, both in the order of `update_stream`. A mode tells each
     * element once a step, before finish() has returned, or none at all. NULL: nobody asks. */
    int (*settled)(void *context, device_stream *stream, size_t first, size_t count,
                   ls_error *error);
    /* Another rank has updated these: they are here now, and are counted as settled. */
    int (*settled_elsewhere)(void *context, device_stream *stream, size_t first, size_t count,
                             ls_error *error);
    void *settled_context;
    device_stream *update_stream; /* may be `stream`; where settled: never NULL */
} mode_settings;

/* One global batch as this rank's loader has it. On ranks whose loader reads nothing (dp, not
 * root) images and labels are NULL. */
typedef struct mode_batch {
    /* Host memory, valid until the next batch is asked for: [loaded, h, w, c], [loaded], [loaded].
     * With `order`: the whole split in device memory, and ids is NULL. */
    const uint8_t *images;
    const int32_t *labels;
    const int64_t *ids;
    const int64_t *order; /* device memory: batch_arguments.order; NULL: not resident */
    int loaded;
    int64_t global_count;
    bool training;
    step_state *state; /* device memory: training's or evaluation's */
    /* Of a batch that may be made while an earlier step runs (mode/ahead.c), when the cursor of
     * `state` is not there yet: its place in `order`, and a state whose cursor stays 0. */
    int64_t first;
    step_state *origin;
    int place; /* which of the network's inputs, and of the labels: 0 or 1 */
    bool made; /* it lies there: begin has nothing to do */
} mode_batch;

/* How a unit's gradient is exchanged. The seconds that were weighed, NAN where none were measured:
 * of its all-reduce, of gathering its factors with the products that this adds, and how far both
 * together vary from call to call (mode/exchange.h). */
typedef struct unit_exchange {
    bool factors;
    bool outgrown; /* not weighed: the rows of all ranks are more than its gradient */
    double reduce_seconds, factor_seconds, spread_seconds;
} unit_exchange;

/* What a mode chose for the exchange of gradients, for the run's header. */
typedef struct mode_exchange {
    bool used;                        /* false: this mode has no such choice */
    size_t bucket_most, bucket_worth; /* elements: mode/buckets.h */
    bool update_shared;               /* mode/pair.h */
    int bucket_count;
    size_t first_bucket_bytes, largest_bucket_bytes; /* as they travel */
    /* Of one hop of an all-reduce, measured (comm/link.h); NAN: not measured. */
    double latency_seconds, bytes_per_second;
    double measured_seconds; /* that measuring took; 0: nothing was measured */
    unit_exchange units[GRAPH_MAX_LAYERS];
} mode_exchange;

typedef struct mode_interface mode_interface;
typedef struct lanes lanes;

typedef struct mode {
    const mode_interface *is;
    mode_settings settings;
    network_hooks hooks; /* for network_forward and network_backward */
    /* Flat logical arrays [parameter_count], device memory. moments only where updates(). */
    float *parameters, *gradients, *moments[MODE_MAX_MOMENTS];
    /* mode/pair.h: the other rank's gradients, which the update adds to `gradients` (NULL: these
     * are the sum), and its parameters, which the update writes too (NULL: it does not). */
    const float *added_gradients;
    float *copied_parameters;
    /* Each lane of this rank has gradients of its own, lane_stride elements apart, the first's at
     * `gradients`, and totals. One, and what is above is all, where lanes is NULL. */
    int lane_count;
    size_t lane_stride;
    lanes *lanes;
    loss_totals *totals; /* device memory [lane_count]; of samples whose loss this rank computed */
    /* Device memory: of the samples whose loss this rank computes, [2][global batch] as the
     * network's inputs (mode_labels). */
    int32_t *labels;
    uint8_t *staged_images; /* device memory, NULL where the device addresses host memory */
    int32_t *staged_labels;
    int64_t *staged_ids;
    mode_exchange exchange;
    device_event *settled_event, *updated_event; /* between the two streams; NULL: they are one */
    device_stream *ahead; /* mode/ahead.c; NULL: this mode or device has none */
    device_event *ahead_free, *ahead_made;
    step_clock *clock; /* the trainer marks a step's phases, the mode what it waits for */
    void *state;       /* the mode's own */
} mode;

struct mode_interface {
    const char *name;
    bool one_rank;   /* runs on exactly one */
    bool exchanges;  /* has --grad-comm, --factor-comm and buckets */
    bool capturable; /* nothing between begin and the update needs the host */
    bool takes_made; /* begin takes a batch that is made already, in either place */
    /* Rank and size for the loader's share of each global batch; size 0: this rank loads nothing.
     */
    void (*loader_share)(const mode_settings *settings, int *rank, int *size);
    int (*setup)(mode *self, ls_error *error);
    void (*teardown)(mode *self);
    /* After it, pass_input holds this rank's share_of(global_count) samples, and the parameters
     * are the current ones. */
    int (*begin)(mode *self, const mode_batch *batch, pass *pass, ls_error *error);
    /* Adds to *totals; in training also puts the gradient (over global_count) into
     * pass_logits_gradient. */
    int (*loss)(mode *self, const mode_batch *batch, pass *pass, ls_error *error);
    int (*finish)(mode *self, ls_error *error);
    /* Loss scaling: *overflow (device memory) becomes not 0 on every rank that updates where it is
     * on any of them. NULL: one rank decides alone. */
    int (*agree_overflow)(mode *self, int32_t *overflow, ls_error *error);
    /* The parameters changed (an update, an initialisation): what the other ranks have is old. */
    void (*parameters_changed)(mode *self);
    bool (*updates)(const mode *self);
};

extern const char mode_choices[]; /* "single|dp|ddp" */

/* LS_BAD_LAUNCH where the mode does not fit the number of ranks. */
int mode_check(const char *name, int size, ls_error *error);
/* LS_BAD_INPUT where --grad-comm or --factor-comm asks for what the mode does not do. */
int mode_check_exchange(const char *name, const char *gradient_type, const char *factors,
                        ls_error *error);
/* LS_BAD_INPUT or LS_BAD_LAUNCH where --strict with so many lanes does not fit the rest. */
int mode_check_strict(const char *name, const char *gradient_type, const char *factors, int size,
                      int64_t lanes, int64_t global_batch, ls_error *error);
/* Of GRADIENT_TYPES and FACTOR_CHOICES. */
dtype mode_gradient_type(const char *name);
factor_choice mode_factor_choice(const char *name);

/* Collective. */
int mode_create(const char *name, const mode_settings *settings, mode **out, ls_error *error);
void mode_destroy(mode *self); /* NULL is fine */

/* A step's parts: mode_interface's and network_forward, network_backward, or all lanes'. begin()
 * and the loss stand in forward's time. */
int mode_begin(mode *self, const mode_batch *batch, ls_error *error);
int mode_forward(mode *self, const mode_batch *batch, ls_error *error);
int mode_loss(mode *self, const mode_batch *batch, ls_error *error);
int mode_backward(mode *self, const mode_batch *batch, ls_error *error);

/* Copies a batch in host memory to the device, in stream order; nothing where it is there. The
 * host memory may be given back once the stream has passed this point. */
int mode_stage(mode *self, const mode_batch *batch, ls_error *error);

/* ahead.c: the next batch, copied and made in a stream of its own while a step runs, where the
 * device is asynchronous and the mode takes_made. In this order: mode_ahead_begin before the step
 * is put into the stream (its own batch is made), mode_make_ahead of the next batch, in the place
 * that the step does not read, and mode_ahead_end before the step that reads it. */
static inline bool mode_works_ahead(const mode *self) {
    return self->ahead != NULL;
}
int mode_ahead_begin(mode *self, ls_error *error);
int mode_make_ahead(mode *self, const mode_batch *next, ls_error *error);
int mode_ahead_end(mode *self, ls_error *error);

/* network_plan_id, and where the mode chose how gradients are exchanged, a hash over that too:
 * buckets and factors decide the order of sums. With lanes that is fixed: their number decides. */
void mode_plan_id(const mode *self, char out[17]);

/* What was put into update_stream is done before what comes next in `stream`. */
int mode_join_updates(mode *self, ls_error *error);

/* Whose share the loader of this rank reads, before the mode exists. */
int mode_loader_share(const char *name, const mode_settings *settings, int *rank, int *size,
                      ls_error *error);

/* Samples of a global batch of `global_count` that this rank computes. */
static inline int mode_local_count(const mode *self, int64_t global_count) {
    return (int)share_of(global_count, self->settings.rank, self->settings.size).count;
}

#endif
