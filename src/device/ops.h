/* The table of operations that a model is made of. Every op has an implementation in `ref` (plain
 * C, sums in double), which is the truth the others are tested against, forward and backward.
 *
 * Shapes are written [n, h, w, c]; parameters are fp32 in canonical layout: convolution weights
 * [out, kh, kw, in], linear weights [out, in] (in = h*w*c of a flattened image, in that order).
 * Activations lie in a tensor_layout that the device chose; both neighbours of a tensor are told
 * which. An op with a shape is prepared once (a "plan": primitives, algorithm) outside the hot
 * loop and then run any number of times. All pointers are device memory. Gradients of parameters
 * are overwritten, not added to; where an activation is used twice, the graph adds its gradients.
 */
#ifndef LOCKSTEP_DEVICE_OPS_H
#define LOCKSTEP_DEVICE_OPS_H

#include "base/fingerprint.h"
#include "device/device.h"
#include "device/step_state.h"

/* Physical order of an activation of logical shape [n, h, w, c]. */
typedef enum {
    LAYOUT_NHWC,    /* canonical: channels last */
    LAYOUT_NCHW,    /* channel planes */
    LAYOUT_NCHW16C, /* planes of 16 channels, channels of a plane last: [n, c/16, h, w, 16] */
    LAYOUT_NCHW8C,  /* planes of 8: [n, c/8, h, w, 8] */
    LAYOUT_COUNT
} tensor_layout;

/* Channels of a plane where these lie in planes of several; else 0. */
static inline int layout_plane_channels(tensor_layout layout) {
    return layout == LAYOUT_NCHW16C ? 16 : layout == LAYOUT_NCHW8C ? 8 : 0;
}

/* What stands on either side of an activation, for the device's choice of its layout. */
typedef enum { LAYOUT_ROLE_INPUT, LAYOUT_ROLE_IMAGE, LAYOUT_ROLE_FLAT } layout_role;

typedef struct conv2d_shape {
    int n, height, width, in_channels; /* input */
    int out_channels, kernel, stride, padding;
    tensor_layout in_layout, out_layout;
    dtype type;   /* of activations */
    bool tf32;    /* type fp32: products may round their factors to TF32 */
    bool relu;    /* y = max(0, x*w + b) */
    bool need_dx; /* false for the first layer */
} conv2d_shape;

typedef struct maxpool2d_shape {
    int n, height, width, channels; /* input; window = stride = `window`, no padding */
    int window;
    tensor_layout in_layout, out_layout;
    dtype type;
    bool relu_input; /* the input is a ReLU's output: backward also applies that ReLU's mask */
} maxpool2d_shape;

typedef struct linear_shape {
    int n, in_features, out_features;
    dtype type;
    bool tf32;
    bool relu;
    bool need_dx;
} linear_shape;

typedef struct plan plan; /* a prepared op of one device */

/* Random crop (of the image padded by `crop_padding` black pixels on each side) and horizontal
 * flip: a pure function of (seed, epoch, sample id), the same on every device. With b =
 * random_block(seed, RANDOM_AUGMENTATION, epoch, id): the window's top is row b[0] % (2 *
 * crop_padding + 1) of the padded image, its left column b[1] % the same, and it is mirrored where
 * b[2] is odd. */
typedef struct augmentation {
    uint64_t seed;
    int crop_padding; /* 0: no crop */
    bool flip;
} augmentation;

typedef struct batch_arguments {
    const uint8_t *images; /* [count or data set, h, w, c] */
    const int32_t *labels; /* as many */
    /* Data set in device memory: image k of the batch is images[order[state->cursor + k]], which
     * is also its sample id. NULL: images[k], with sample id ids[k]. */
    const int64_t *order;
    const int64_t *ids;      /* [count]; only augmentation reads it */
    const step_state *state; /* NULL: cursor 0, epoch 0 */
    int count, height, width, channels;
    tensor_layout layout;
    dtype type;           /* of the output */
    float scale, shift;   /* out = x * scale + shift, after augmentation */
    augmentation augment; /* all zero: none */
    void *out;            /* [count, h, w, c] in `layout` */
    int32_t *out_labels;  /* [count] */
} batch_arguments;

/* A part of the flat arrays that one optimizer call updates: one parameter tensor, or a piece. */
typedef struct parameter_range {
    size_t first, count; /* elements of the flat arrays */
    float learning_rate; /* this step's, this range's */
    float weight_decay;  /* L2, added to the gradient */
    plan *packing;       /* whose packed copy the pass refreshes; NULL: none */
    void *packed;        /* the copy; of a piece: where the piece's first element lies in it */
} parameter_range;

typedef struct adam_arguments {
    float *parameters, *gradients, *first_moment, *second_moment; /* flat arrays */
    /* Flat too, in host memory that the device addresses: the update's gradients are these added
     * to `gradients`. NULL: none; LS_FAILED for another on cuda. */
    const float *added;
    /* As `added` lies: the new parameters are written there too. NULL: nowhere else; as above. */
    float *copied;
    float beta1, beta2, epsilon;
    /* Device memory. t = state->step + 1 is the update's number: bias corrections 1 - beta^t.
     * Gradients are divided by state->loss_scale; where state->overflow is set nothing changes. */
    const step_state *state;
} adam_arguments;

typedef struct sgd_arguments {
    float *parameters, *gradients, *velocity; /* velocity NULL when momentum is 0 */
    const float *added;                       /* as in adam */
    float *copied;                            /* as in adam */
    float momentum;
    const step_state *state; /* as in adam; the first update: velocity = gradient, as PyTorch */
} sgd_arguments;

struct ops {
    /* The layout of an activation [.., c] of a type between two image ops, or before a
     * flattening. */
    tensor_layout (*choose_layout)(const device *self, layout_role role, int channels, dtype type);

    /* --- plans: `like` is a plan of the same layer with another n (or NULL); weights packed for
     * it serve the new plan too. */
    int (*conv2d_prepare)(device *self, const conv2d_shape *shape, const plan *like, plan **out,
                          ls_error *error);
    int (*maxpool2d_prepare)(device *self, const maxpool2d_shape *shape, plan **out,
                             ls_error *error);
    int (*linear_prepare)(device *self, const linear_shape *shape, const plan *like, plan **out,
                          ls_error *error);
    void (*plan_release)(device *self, plan *plan);
    size_t (*plan_workspace_bytes)(const plan *plan); /* scratch for any call of the plan */
    size_t (*plan_packed_bytes)(const plan *plan);    /* device copy of the weights; 0: none */
    /* Bytes of the copy's elements where it is the canonical array in its order, so that a piece of
     * the weights may be updated alone; 0: only all of them at once (or there is no copy). */
    size_t (*plan_packed_element)(const plan *plan);
    size_t (*plan_saved_bytes)(const plan *plan); /* what forward keeps for backward */
    /* Implementation names, for --verbose and for plan ids. What stands in parentheses says where a
     * choice came from (timed, known from another run) and is no part of a plan's id. */
    const char *(*plan_describe)(const plan *plan);

    /* Refreshes the packed copy from canonical weights. */
    int (*pack_weights)(plan *plan, device_stream *stream, const float *weights, void *packed,
                        ls_error *error);

    /* --- convolution (cross-correlation, as every framework's "convolution").
     * x [n,h,w,in], weights [out,kh,kw,in], bias [out], y [n,oh,ow,out]. dy is the gradient after
     * the ReLU's mask. Where activations are bf16 or fp16, a device may round the bias to that type
     * before it adds it, and dweights before it stores them. */
    int (*conv2d_forward)(plan *plan, device_stream *stream, const void *x, const float *weights,
                          const void *packed, const float *bias, void *y, void *workspace,
                          ls_error *error);
    int (*conv2d_backward_data)(plan *plan, device_stream *stream, const void *dy,
                                const float *weights, const void *packed, void *dx, void *workspace,
                                ls_error *error);
    int (*conv2d_backward_weights)(plan *plan, device_stream *stream, const void *x, const void *dy,
                                   float *dweights, float *dbias, void *workspace, ls_error *error);

    /* --- linear: x [n,in], weights [out,in], bias [out], y [n,out]. dy and bias as above. */
    int (*linear_forward)(plan *plan, device_stream *stream, const void *x, const float *weights,
                          const void *packed, const float *bias, void *y, void *workspace,
                          ls_error *error);
    int (*linear_backward_data)(plan *plan, device_stream *stream, const void *dy,
                                const float *weights, const void *packed, void *dx, void *workspace,
                                ls_error *error);
    int (*linear_backward_weights)(plan *plan, device_stream *stream, const void *x, const void *dy,
                                   float *dweights, float *dbias, void *workspace, ls_error *error);

    /* --- max pooling: saved holds the winning position of each window (the first in row-major
     * order wins a tie). backward overwrites all of dx; y is forward's output. */
    int (*maxpool2d_forward)(plan *plan, device_stream *stream, const void *x, void *y, void *saved,
                             ls_error *error);
    int (*maxpool2d_backward)(plan *plan, device_stream *stream, const void *dy, const void *y,
                              const void *saved, void *dx, ls_error *error);

    /* dy[i] = y[i] > 0 ? dy[i] : 0, in place. */
    int (*relu_backward)(device *self, device_stream *stream, size_t count, dtype type,
                         const void *y, void *dy, ls_error *error);

    /* Cross-entropy of softmax(logits [n, classes]) against labels [n]: adds to *totals (device
     * memory), and writes dlogits = (softmax - onehot) * gradient_scale * state->loss_scale unless
     * dlogits is NULL (evaluation). `state` NULL: a loss scale of 1. The sums into *totals are
     * added in a fixed order. A label outside the classes is undefined: the reader checks them. */
    int (*softmax_cross_entropy)(device *self, device_stream *stream, int n, int classes,
                                 dtype type, const void *logits, const int32_t *labels,
                                 float gradient_scale, const step_state *state, void *dlogits,
                                 loss_totals *totals, ls_error *error);

    /* Gather by index, normalise, convert, lay out: uint8 images -> a batch. */
    int (*make_batch)(device *self, device_stream *stream, const batch_arguments *arguments,
                      ls_error *error);

    /* to += from. For an activation used twice. */
    int (*add)(device *self, device_stream *stream, size_t count, dtype type, const void *from,
               void *to, ls_error *error);

    /* --- optimizers: one pass over each range; packed copies are refreshed as part of it.
     * Adam: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1,
     * with epsilon outside the root, as PyTorch has it. SGD: v = momentum * v + g; w -= lr * v. */
    int (*adam)(device *self, device_stream *stream, const adam_arguments *arguments,
                const parameter_range *ranges, int range_count, ls_error *error);
    int (*sgd)(device *self, device_stream *stream, const sgd_arguments *arguments,
               const parameter_range *ranges, int range_count, ls_error *error);

    /* state->overflow = 1 where any of values[count] is infinite or NaN; else it stays. */
    int (*check_finite)(device *self, device_stream *stream, const float *values, size_t count,
                        step_state *state, ls_error *error);
    /* The end of a step on `images` samples of this rank: cursor += images; with `updated` also
     * step += 1, or, where overflow is set, skipped += 1 and loss_scale is halved; `scaling`:
     * loss_scale doubles after LOSS_SCALE_GROWTH_STEPS good steps. Clears overflow. */
    int (*advance)(device *self, device_stream *stream, step_state *state, int64_t images,
                   bool updated, bool scaling, ls_error *error);

    /* to[i] = from[i], rounded to nearest even; any two of fp32, bf16 and fp16. */
    int (*cast)(device *self, device_stream *stream, size_t count, dtype from_type,
                const void *from, dtype to_type, void *to, ls_error *error);
    /* *out = sum of values[i]^2, in a fixed order (device memory). */
    int (*sum_of_squares)(device *self, device_stream *stream, const float *values, size_t count,
                          double *out, ls_error *error);
    /* *out (device memory) = the fingerprint of values[count], as base/fingerprint.h defines it:
     * the same bits on every device. */
    int (*fingerprint)(device *self, device_stream *stream, const float *values, size_t count,
                       struct fingerprint *out, ls_error *error);
};

#endif
