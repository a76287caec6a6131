/* Ops with a shape, of which a model's layers are made: convolution, product, pooling. A kind
 * (kinds/KIND.h) says what is computed: a struct of sizes, and which tensors and parameters it
 * reads and writes. A device implements a kind in one file, ended by an `op`, and a line in its
 * list (device_interface.kinds). `ref` has every kind: it is the truth that the others are tested
 * against, and what a device of the host takes for a kind that it lacks.
 *
 * An op is prepared once for a shape (a plan: primitives, algorithm), outside the hot loop, and
 * then run any number of times. All pointers are device memory. Activations lie in a tensor_layout
 * that the device chose. Parameters are fp32 and canonical; gradients of parameters are
 * overwritten, not added to; where an activation is used twice, the graph adds its gradients. */
#ifndef LOCKSTEP_DEVICE_OP_H
#define LOCKSTEP_DEVICE_OP_H

#include "base/text_buffer.h"
#include "device/device.h"

/* Physical order of an activation of logical shape [n, h, w, c]. */
typedef enum {
    LAYOUT_NHWC,    /* canonical: channels last */
    LAYOUT_NCHW,    /* channel planes */
    LAYOUT_NCHW16C, /* planes of 16 channels, channels of a plane last: [n, c/16, h, w, 16] */
    LAYOUT_NCHW8C,  /* planes of 8: [n, c/8, h, w, 8] */
    LAYOUT_COUNT,   /* of those above, which any tensor may have */
    /* Of a network's input alone: channels last, rounded up to a multiple of 8 by zeros. */
    LAYOUT_NHWC_PADDED = LAYOUT_COUNT
} tensor_layout;

/* Channels as they lie in memory. */
static inline int layout_channels(tensor_layout layout, int channels) {
    return layout == LAYOUT_NHWC_PADDED ? (channels + 7) / 8 * 8 : channels;
}

/* Channels of a plane where these lie in planes of several; else 0. */
static inline int layout_plane_channels(tensor_layout layout) {
    return layout == LAYOUT_NCHW16C ? 16 : layout == LAYOUT_NCHW8C ? 8 : 0;
}

/* What an op applies to its result before it stores it. relu: max(0, y). gelu: y * Phi(y), Phi the
 * normal distribution's (Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016). gelu-tanh: the
 * same paper's approximation of it, y / 2 * (1 + tanh(sqrt(2 / pi) * (y + 0.044715 y^3))). */
typedef enum { ACTIVATION_NONE, ACTIVATION_RELU, ACTIVATION_GELU, ACTIVATION_GELU_TANH } activation;
const char *activation_name(activation self);

static inline bool activation_is_gelu(activation self) {
    return self == ACTIVATION_GELU || self == ACTIVATION_GELU_TANH;
}

/* What an op computes, the same on every device. Told apart by address: ref's file of a kind
 * defines it. */
typedef struct op_kind {
    const char *name; /* "conv2d" */
} op_kind;

enum { OP_INPUTS = 4, OP_PARAMETERS = 8, OP_BUFFERS = 4 };

/* Adds up what several ranks' ops found over their parts of one batch: what the call's stream has
 * written to values [count] becomes the sums over the ranks, in stream order. Every rank calls it,
 * in the same order; one that has no part writes zeros. */
typedef struct op_sums {
    void *context;
    double *values; /* device memory: of the most that an op of the network has, at a time */
    int (*add_up)(void *context, size_t count, ls_error *error);
} op_sums;

/* What ops draw random numbers of, in training: with a layer and an element's place in its sample,
 * the whole of it. No rank, lane or micro-batch is in it. */
typedef struct op_draws {
    uint64_t seed;
    const struct step_state *state; /* device memory: of the step */
    int64_t
        first; /* of the call's samples the first one's place in the step's batch of all ranks */
} op_draws;

/* What a call reads and writes. A kind's header says which members it uses and in which order;
 * what it does not use is NULL. */
typedef struct op_arguments {
    device_stream *stream;
    const void *x[OP_INPUTS]; /* forward's inputs */
    void *y;                  /* forward's output, which backward may read again */
    const void *dy; /* gradient of y, after the activation's derivative unless the kind says else */
    void *dx[OP_INPUTS]; /* gradients of the inputs; NULL: not wanted */
    /* Where plan.sums_dx: [channels of x[0]], dx[0] added up over all else, which is the gradient
     * of the bias that was added to make x[0]; NULL: not wanted. */
    float *dx_sums;
    const float *parameters[OP_PARAMETERS];
    const void *packed[OP_PARAMETERS]; /* their packed copies, where the plan has them */
    /* Of the last parameter of a kind, its bias, NULL where the op that reads y makes it (dx_sums).
     */
    float *gradients[OP_PARAMETERS];
    /* Memory of plan.left: the gradient goes there, and gradients[] is not written; NULL: it goes
     * to gradients[]. */
    void *left[OP_PARAMETERS];
    float
        *buffers[OP_BUFFERS]; /* not trained: running statistics, which training's forward moves */
    void *saved;              /* plan.saved_bytes, from forward to backward */
    /* Of the op that made x[0], where its plan or this one says that a mask is handed on: its plan,
     * and what it saved. */
    struct plan *x_plan;
    const void *x_saved;
    /* In training, of a kind that says so: what it sums over the batch is all ranks'. NULL: the
     * batch is this call's. */
    const op_sums *sums;
    const op_draws *draws; /* in training, of a kind that draws; else NULL is fine */
    void *workspace;       /* plan.workspace_bytes of scratch */
    bool training;         /* forward: a backward follows; false in evaluation */
    /* Forward of training once more, for a y that was not kept: `saved` is what the first one left
     * and may be written again with the same, but of AGAIN_FROM_SAVED, whose is not kept either;
     * `buffers` stay as they are, and `sums` is not called. The same bits. */
    bool again;
} op_arguments;

/* Where element i of a parameter lies in an array that holds more: runs of `length` elements, each
 * `stride` behind the one before (a filter of 3 channels as one of 8). length 0: element i. */
typedef struct op_runs {
    int length, stride;
} op_runs;

/* A device's copy of a parameter, as its products want it. */
typedef struct op_packed {
    size_t bytes; /* 0: there is none */
    /* The copy is the canonical array rounded to `type`, element by element, so that a piece may be
     * updated alone. Else it is made of the whole array at once, by op.pack, or, where it is the
     * array in runs with zeros between them, by the update. */
    bool in_order;
    dtype type;
    op_runs runs;
} op_packed;

/* A parameter's gradient as the device's library leaves it: fp32 in the canonical order costs a
 * pass more. Whoever reads gradients may read it there (parameter_range.left). */
typedef struct op_left {
    size_t bytes; /* 0: the gradient is left as fp32 anyway */
    dtype type;   /* of its elements, in the canonical order */
    op_runs runs;
} op_left;

/* What it costs to make y again in backward, instead of keeping it. */
typedef enum {
    AGAIN_COSTLY,    /* as much as forward: only where it is asked for (recompute) */
    AGAIN_CHEAP,     /* by forward, in a pass over memory that is nothing beside the products */
    AGAIN_FROM_SAVED /* by op.again, of `saved` alone, which is as large as y */
} again_cost;

/* A prepared op. A device's own plan begins with this. */
struct plan {
    const op *is;
    device *device;
    bool borrowed; /* ref's op on a device of the host that has none of its own */
    size_t workspace_bytes, saved_bytes;
    bool sums_dx;  /* backward_inputs also writes dx_sums, where it is wanted */
    bool masks_dx; /* it also applies the mask of the ReLU that made x[0] */
    again_cost again;
    op_packed packed[OP_PARAMETERS];
    op_left left[OP_PARAMETERS]; /* the same whatever n */
    text_buffer description;     /* names of implementations */
};

/* A kind's implementation on a device. A member that says NULL may be NULL. */
struct op {
    const op_kind *kind;
    size_t plan_bytes; /* of the device's own struct, which begins with a plan */
    /* *self is zeroed but for is and device. shape: the kind's own struct, not kept. `like`: a plan
     * of the same layer at another n, or NULL; what is packed for it serves the new plan too.
     * Fills in what the plan needs and its description; what it leaves half made, release ends. */
    int (*prepare)(plan *self, const void *shape, const plan *like, ls_error *error);
    void (*release)(plan *self);  /* the device's own part; NULL: nothing to do */
    void (*describe)(plan *self); /* writes the description anew; NULL: prepare's stays true */
    /* The packed copy of a parameter, where it is not in order; NULL: there are no such. */
    int (*pack)(plan *self, device_stream *stream, int parameter, const float *from, void *to,
                ls_error *error);
    int (*forward)(plan *self, const op_arguments *arguments, ls_error *error);
    /* y, of what forward has saved, the same bits: of plans that say AGAIN_FROM_SAVED. */
    int (*again)(plan *self, const op_arguments *arguments, ls_error *error);
    /* Gradients of the parameters; NULL: the kind has none. */
    int (*backward_parameters)(plan *self, const op_arguments *arguments, ls_error *error);
    /* Gradients of the inputs, all of them overwritten. */
    int (*backward_inputs)(plan *self, const op_arguments *arguments, ls_error *error);
};

/* LS_FAILED, naming device and kind, where the device has no such op (a GPU's: nothing is computed
 * beside it in silence). A device of the host takes ref's, and the plan's description says so. */
int op_prepare(device *device, const op_kind *kind, const void *shape, const plan *like, plan **out,
               ls_error *error);
void plan_release(plan *self); /* NULL is fine */

/* Implementation names, of any length, for --verbose and for plan ids; valid until it is asked
 * again. What stands in parentheses says where a choice came from (timed, known from another run)
 * and is no part of a plan's id. */
const char *plan_describe(plan *self);

/* Bytes of an element of the copy, where a piece of it can be updated alone; 0: only all of it at
 * once (or there is no copy). */
static inline size_t plan_packed_element(const plan *self, int parameter) {
    const op_packed *copy = &self->packed[parameter];
    return copy->bytes && copy->in_order ? dtype_bytes(copy->type) : 0;
}

/* Refreshes the packed copy of a parameter from its canonical values; nothing where it has none. */
int plan_pack(plan *self, device_stream *stream, int parameter, const float *from, void *to,
              ls_error *error);

/* For implementations: the workspace is at least `bytes`. */
static inline void plan_need_workspace(plan *self, size_t bytes) {
    if (bytes > self->workspace_bytes)
        self->workspace_bytes = bytes;
}

/* For implementations that fuse a ReLU and no other: LS_FAILED, naming what is wanted. */
int plan_refuse_activation(const plan *self, activation wanted, ls_error *error);

#endif
