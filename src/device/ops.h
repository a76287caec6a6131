/* The step ops: what a step does besides its layers' ops (device/op.h): loss, batch, optimizer,
 * state. Each has an implementation in `ref` (plain C, sums in double), which is the truth the
 * others are tested against. All pointers are device memory. */
#ifndef LOCKSTEP_DEVICE_OPS_H
#define LOCKSTEP_DEVICE_OPS_H

#include "base/fingerprint.h"
#include "device/epoch.h"
#include "device/loss.h"
#include "device/mixing.h"
#include "device/op.h"
#include "device/squares.h"
#include "device/step_state.h"
#include "device/update.h"

/* What stands on either side of an activation, for the device's choice of its layout. */
typedef enum { LAYOUT_ROLE_INPUT, LAYOUT_ROLE_IMAGE, LAYOUT_ROLE_FLAT } layout_role;

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
    dtype type;         /* of the output */
    float scale, shift; /* out = x * scale + shift, after augmentation */
    bool by_channel;    /* three channels, each with its own: scales and shifts instead */
    float scales[3], shifts[3];
    augmentation augment; /* all zero: none */
    void *out;            /* [count, h, w, c] in `layout` */
    int32_t *out_labels;  /* [count] */
} batch_arguments;

struct ops {
    /* The layout of an activation [.., c] of a type between two image ops, or before a
     * flattening. */
    tensor_layout (*choose_layout)(const device *self, layout_role role, int channels, dtype type);

    /* dy[i] = y[i] > 0 ? dy[i] : 0, in place. */
    int (*relu_backward)(device *self, device_stream *stream, size_t count, dtype type,
                         const void *y, void *dy, ls_error *error);

    /* Cross-entropy of softmax(logits) against the targets: adds to *totals, and writes dlogits =
     * (softmax - target) * gradient_scale * state->loss_scale. The sums into *totals are added in a
     * fixed order. */
    int (*softmax_cross_entropy)(device *self, device_stream *stream,
                                 const loss_arguments *arguments, ls_error *error);

    /* Gather by index, normalise, convert, lay out: uint8 images -> a batch. */
    int (*make_batch)(device *self, device_stream *stream, const batch_arguments *arguments,
                      ls_error *error);

    /* Samples of a batch mixed with their partners, with the labels and weights of their targets
     * (device/mixing.h). NULL: this device mixes none. */
    int (*mix)(device *self, device_stream *stream, const mix_arguments *arguments,
               ls_error *error);

    /* to += from. For an activation used twice. */
    int (*add)(device *self, device_stream *stream, size_t count, dtype type, const void *from,
               void *to, ls_error *error);

    /* --- updates (device/update.h): one pass over each range; packed copies are refreshed as part
     * of it. */
    int (*adam)(device *self, device_stream *stream, const adam_constants *constants,
                const update_arguments *arguments, const parameter_range *ranges, int range_count,
                ls_error *error);
    int (*sgd)(device *self, device_stream *stream, const sgd_constants *constants,
               const update_arguments *arguments, const parameter_range *ranges, int range_count,
               ls_error *error);
    /* The same of two ranks' gradients, to both ranks' parameters: the bits of adding them up
     * before, and of copying after. NULL: this device cannot (host memory is not its own). */
    int (*adam_pair)(device *self, device_stream *stream, const adam_constants *constants,
                     const update_arguments *arguments, const update_pair *pair,
                     const parameter_range *ranges, int range_count, ls_error *error);
    int (*sgd_pair)(device *self, device_stream *stream, const sgd_constants *constants,
                    const update_arguments *arguments, const update_pair *pair,
                    const parameter_range *ranges, int range_count, ls_error *error);
    /* average[i] += (1 - decay) * (values[i] - average[i]); in the first update average[i] =
     * values[i], as PyTorch's averaged models have it. Where state->overflow is set nothing
     * changes. */
    int (*average)(device *self, device_stream *stream, const float *values, float *average,
                   size_t count, double decay, const step_state *state, ls_error *error);
    /* state->gradient_norm = the Euclidean norm of the gradients / state->loss_scale, of whose
     * square sums[count] are parts (sums_of_squares; device memory), added in a fixed order, and
     * state->clip = min(1, most / (norm + 1e-6)), as PyTorch clips (most 0: 1). Where
     * state->overflow is set, clip is 1 and the norm is counted in no sum. */
    int (*clip_norm)(device *self, device_stream *stream, const double *sums, size_t count,
                     double most, step_state *state, ls_error *error);

    /* state->overflow = 1 where any of values[count] is infinite or NaN; else it stays. */
    int (*check_finite)(device *self, device_stream *stream, const float *values, size_t count,
                        step_state *state, ls_error *error);
    /* The end of a step on `images` samples of this rank: cursor += images; with `updated` also
     * step += 1, or, where overflow is set, skipped += 1 and loss_scale is halved; `scaling`:
     * loss_scale doubles after LOSS_SCALE_GROWTH_STEPS good steps. Clears overflow. */
    int (*advance)(device *self, device_stream *stream, step_state *state, int64_t images,
                   bool updated, bool scaling, ls_error *error);

    /* An epoch begins: states and order as epoch_arguments says. */
    int (*begin_epoch)(device *self, device_stream *stream, const epoch_arguments *arguments,
                       ls_error *error);

    /* to[i] = from[i], rounded to nearest even; any two of fp32, bf16 and fp16. */
    int (*cast)(device *self, device_stream *stream, size_t count, dtype from_type,
                const void *from, dtype to_type, void *to, ls_error *error);
    /* out[g] = sum of values[i]^2 over grain g, the elements [g SQUARES_GRAIN, (g + 1)
     * SQUARES_GRAIN) of values[count], in a fixed order (device memory, [squares_grains(count)]):
     * whatever lies before and after, and wherever, a grain has the same bits. */
    int (*sums_of_squares)(device *self, device_stream *stream, const float *values, size_t count,
                           double *out, ls_error *error);
    /* *out (device memory) += the fingerprint of values[count], which are elements `first`, first +
     * 1, ... of an array, as base/fingerprint.h defines it: the same bits on every device. */
    int (*fingerprint)(device *self, device_stream *stream, const float *values, size_t first,
                       size_t count, struct fingerprint *out, ls_error *error);
};

#endif
