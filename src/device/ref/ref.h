/* The `ref` device: the plainest C for every op, one thread, sums in double, never optimised. It
 * is the truth the other devices are tested against, so it can address a tensor in any layout,
 * although it chooses NHWC for its own. Activations in fp32, bf16 or fp16: a value is loaded
 * exactly, and a result is rounded once, to nearest even, when it is stored. Weights are rounded
 * to the activations' type as they are used, which is what a device's packed copy of them holds. */
#ifndef LOCKSTEP_DEVICE_REF_REF_H
#define LOCKSTEP_DEVICE_REF_REF_H

#include "base/float16.h"
#include "device/ops.h"

/* A tensor of logical shape [n, height, width, channels]. */
typedef struct ref_shape {
    int n, height, width, channels;
} ref_shape;

/* Where element [n, h, w, c] lies. Where channels lie in planes of several, they are rounded up to
 * whole planes. */
static inline size_t ref_index_of(tensor_layout layout, ref_shape shape, int n, int h, int w,
                                  int c) {
    size_t height = (size_t)shape.height, width = (size_t)shape.width;
    size_t channels = (size_t)shape.channels, lanes = (size_t)layout_plane_channels(layout);
    switch (layout) {
    case LAYOUT_NCHW:
        return (((size_t)n * channels + (size_t)c) * height + (size_t)h) * width + (size_t)w;
    case LAYOUT_NCHW16C:
    case LAYOUT_NCHW8C:
        return ((((size_t)n * ((channels + lanes - 1) / lanes) + (size_t)c / lanes) * height +
                 (size_t)h) *
                    width +
                (size_t)w) *
                   lanes +
               (size_t)c % lanes;
    case LAYOUT_NHWC:
    default:
        return (((size_t)n * height + (size_t)h) * width + (size_t)w) * channels + (size_t)c;
    }
}

/* Elements of memory behind the tensor, the padding of the last plane included. */
size_t ref_elements(tensor_layout layout, ref_shape shape);

/* Element `index` of an array of activations. */
static inline double ref_load(dtype type, const void *array, size_t index) {
    switch (type) {
    case DTYPE_BF16:
        return (double)bf16_to_float(((const uint16_t *)array)[index]);
    case DTYPE_F16:
        return (double)fp16_to_float(((const uint16_t *)array)[index]);
    default:
        return (double)((const float *)array)[index];
    }
}

/* A weight as a product takes it. */
static inline double ref_weight(dtype type, float weight) {
    switch (type) {
    case DTYPE_BF16:
        return (double)bf16_to_float(bf16_of_float(weight));
    case DTYPE_F16:
        return (double)fp16_to_float(fp16_of_float(weight));
    default:
        return (double)weight;
    }
}

static inline void ref_store(dtype type, void *array, size_t index, double value) {
    switch (type) {
    case DTYPE_BF16:
        ((uint16_t *)array)[index] = bf16_of_float(float_odd_of_double(value));
        break;
    case DTYPE_F16:
        ((uint16_t *)array)[index] = fp16_of_float(float_odd_of_double(value));
        break;
    default:
        ((float *)array)[index] = (float)value;
    }
}

/* LS_FAILED, naming the op and the type, for anything but fp32, bf16 and fp16. */
int ref_check_type(const char *op, dtype type, ls_error *error);

/* The step ops, by file; their contracts are in device/ops.h. */
extern const ops ops_ref;                 /* ref_ops.c */
extern const op *const ref_kinds[];       /* ref_ops.c */
extern const device_interface device_ref; /* ref.c */

/* ref_elementwise.c */
int ref_relu_backward(device *self, device_stream *stream, size_t count, dtype type, const void *y,
                      void *dy, ls_error *error);
int ref_add(device *self, device_stream *stream, size_t count, dtype type, const void *from,
            void *to, ls_error *error);
int ref_cast(device *self, device_stream *stream, size_t count, dtype from_type, const void *from,
             dtype to_type, void *to, ls_error *error);

/* ref_loss.c */
int ref_softmax_cross_entropy(device *self, device_stream *stream, const loss_arguments *arguments,
                              ls_error *error);

/* ref_batch.c */
int ref_make_batch(device *self, device_stream *stream, const batch_arguments *arguments,
                   ls_error *error);

/* ref_optimizer.c */
int ref_adam(device *self, device_stream *stream, const adam_constants *constants,
             const update_arguments *arguments, const parameter_range *ranges, int range_count,
             ls_error *error);
int ref_sgd(device *self, device_stream *stream, const sgd_constants *constants,
            const update_arguments *arguments, const parameter_range *ranges, int range_count,
            ls_error *error);
int ref_adam_pair(device *self, device_stream *stream, const adam_constants *constants,
                  const update_arguments *arguments, const update_pair *pair,
                  const parameter_range *ranges, int range_count, ls_error *error);
int ref_sgd_pair(device *self, device_stream *stream, const sgd_constants *constants,
                 const update_arguments *arguments, const update_pair *pair,
                 const parameter_range *ranges, int range_count, ls_error *error);
int ref_average(device *self, device_stream *stream, const float *values, float *average,
                size_t count, double decay, const step_state *state, ls_error *error);
int ref_clip_norm(device *self, device_stream *stream, const double *sums, size_t count,
                  double most, step_state *state, ls_error *error);

/* ref_state.c */
int ref_check_finite(device *self, device_stream *stream, const float *values, size_t count,
                     step_state *state, ls_error *error);
int ref_advance(device *self, device_stream *stream, step_state *state, int64_t images,
                bool updated, bool scaling, ls_error *error);
int ref_sums_of_squares(device *self, device_stream *stream, const float *values, size_t count,
                        double *out, ls_error *error);

/* ref_fingerprint.c */
int ref_fingerprint(device *self, device_stream *stream, const float *values, size_t first,
                    size_t count, fingerprint *out, ls_error *error);

#endif
