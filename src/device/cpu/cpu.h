/* The cpu device: oneDNN for convolutions and matrix products, a few vectorised loops for the
 * rest, OpenMP threads. Everything is done when a call returns. */
#ifndef LOCKSTEP_DEVICE_CPU_CPU_H
#define LOCKSTEP_DEVICE_CPU_CPU_H

#include "device/cpu/forms.h"
#include "device/cpu/layouts.h"
#include "device/cpu/onednn.h"
#include "device/cpu/winograd.h"
#include "device/ops.h"

/* How a convolution is computed. */
typedef enum {
    CPU_CONV2D_FASTEST,
    CPU_CONV2D_OWN_WINOGRAD,
    CPU_CONV2D_LIBRARY, /* oneDNN's choice */
    CPU_CONV2D_LIBRARY_DIRECT,
    CPU_CONV2D_LIBRARY_WINOGRAD
} cpu_conv2d_algorithm;

typedef struct cpu_device {
    device base;
    int threads;
    onednn engine;
    cpu_layouts fp32, bf16; /* of images; bf16's where the processor has that */
    cpu_conv2d_algorithm convolutions;
} cpu_device;

typedef enum { CPU_CONV2D, CPU_LINEAR, CPU_MAXPOOL2D } cpu_plan_kind;

/* A prepared op. `struct plan` of ops.h is this, for this device. */
typedef struct cpu_plan {
    cpu_device *device;
    cpu_plan_kind kind;
    union {
        conv2d_shape conv2d;
        linear_shape linear;
        maxpool2d_shape maxpool2d;
    } shape;
    onednn_call forward, backward_data, backward_weights;
    /* Convolutions: oneDNN's own blocked weights, one copy for each direction, and its blocked
     * gradient, which goes to the canonical array right after it
     * was made (there is no fast implementation that writes canonical gradients: oneDNN 2.6 falls
     * back to its reference). */
    onednn_desc packed_forward, packed_backward; /* forward's and backward_data's */
    size_t packed_backward_offset;               /* of the second copy in the packed memory */
    size_t packed_bytes;
    onednn_call pack_forward, pack_backward, unpack_gradient;
    size_t gradient_offset; /* of the blocked gradient in the workspace */
    bool packed_in_order;   /* linear layers in bf16: the copy is the canonical array, rounded */
    bool by_winograd;       /* convolutions: all of it by winograd.h */
    winograd winograd;
    bool by_product;                          /* linear: all of it by product.h */
    bool data_by_product, weights_by_product; /* linear: backward by oneDNN's matrix product */
    size_t workspace_bytes;
    size_t saved_bytes;
    char description[256];
} cpu_plan;

/* LOCKSTEP_CONVOLUTIONS: direct, library, or fastest where it is not set. */
int cpu_conv2d_wanted(cpu_conv2d_algorithm *out, ls_error *error);
int cpu_conv2d_prepare(device *self, const conv2d_shape *shape, const plan *like, plan **out,
                       ls_error *error);
/* For comparisons: LS_FAILED where there is no such implementation for the shape. */
int cpu_conv2d_prepare_by(device *self, cpu_conv2d_algorithm algorithm, const conv2d_shape *shape,
                          const plan *like, plan **out, ls_error *error);
int cpu_conv2d_forward(plan *plan, device_stream *stream, const void *x, const float *weights,
                       const void *packed, const float *bias, void *y, void *workspace,
                       ls_error *error);
int cpu_conv2d_backward_data(plan *plan, device_stream *stream, const void *dy,
                             const float *weights, const void *packed, void *dx, void *workspace,
                             ls_error *error);
int cpu_conv2d_backward_weights(plan *plan, device_stream *stream, const void *x, const void *dy,
                                float *dweights, float *dbias, void *workspace, ls_error *error);

/* pack.c: after packed_forward (packed_backward) was set, its place in the packed memory and the
 * call that fills it. Backward needs no place of its own where it equals forward. */
int cpu_plan_pack_forward(cpu_plan *self, onednn_desc canonical, ls_error *error);
int cpu_plan_pack_backward(cpu_plan *self, onednn_desc canonical, ls_error *error);
static inline size_t cpu_align64(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}

int cpu_pack_weights(plan *plan, device_stream *stream, const float *weights, void *packed,
                     ls_error *error);

int cpu_linear_prepare(device *self, const linear_shape *shape, const plan *like, plan **out,
                       ls_error *error);
int cpu_linear_forward(plan *plan, device_stream *stream, const void *x, const float *weights,
                       const void *packed, const float *bias, void *y, void *workspace,
                       ls_error *error);
int cpu_linear_backward_data(plan *plan, device_stream *stream, const void *dy,
                             const float *weights, const void *packed, void *dx, void *workspace,
                             ls_error *error);
int cpu_linear_backward_weights(plan *plan, device_stream *stream, const void *x, const void *dy,
                                float *dweights, float *dbias, void *workspace, ls_error *error);

int cpu_maxpool2d_prepare(device *self, const maxpool2d_shape *shape, plan **out, ls_error *error);
int cpu_maxpool2d_forward(plan *plan, device_stream *stream, const void *x, void *y, void *saved,
                          ls_error *error);
int cpu_maxpool2d_backward(plan *plan, device_stream *stream, const void *dy, const void *y,
                           const void *saved, void *dx, ls_error *error);

int cpu_relu_backward(device *self, device_stream *stream, size_t count, dtype type, const void *y,
                      void *dy, ls_error *error);
int cpu_add(device *self, device_stream *stream, size_t count, dtype type, const void *from,
            void *to, ls_error *error);
int cpu_softmax_cross_entropy(device *self, device_stream *stream, int n, int classes, dtype type,
                              const void *logits, const int32_t *labels, float gradient_scale,
                              const step_state *state, void *dlogits, loss_totals *totals,
                              ls_error *error);
/* to[column] = the sum of from[row][column], fp32 or bf16, rows in order. One thread. */
void cpu_sum_rows(dtype type, const void *from, float *to, size_t rows, size_t columns);
/* cast.c: one thread's part, and the contract is cast's. */
void cpu_round_to_bf16(const float *from, uint16_t *to, size_t count);
int cpu_cast(device *self, device_stream *stream, size_t count, dtype from_type, const void *from,
             dtype to_type, void *to, ls_error *error);
int cpu_make_batch(device *self, device_stream *stream, const batch_arguments *arguments,
                   ls_error *error);
int cpu_adam(device *self, device_stream *stream, const adam_arguments *arguments,
             const parameter_range *ranges, int range_count, ls_error *error);
int cpu_sgd(device *self, device_stream *stream, const sgd_arguments *arguments,
            const parameter_range *ranges, int range_count, ls_error *error);

int cpu_check_finite(device *self, device_stream *stream, const float *values, size_t count,
                     step_state *state, ls_error *error);
int cpu_advance(device *self, device_stream *stream, step_state *state, int64_t images,
                bool updated, bool scaling, ls_error *error);
int cpu_sum_of_squares(device *self, device_stream *stream, const float *values, size_t count,
                       double *out, ls_error *error);
int cpu_fingerprint(device *self, device_stream *stream, const float *values, size_t count,
                    fingerprint *out, ls_error *error);

/* LS_FAILED, naming the op and the type, for activations that this device has no loops for. */
int cpu_check_type(const char *op, dtype type, ls_error *error);

/* A new plan of this kind, zeroed; released by cpu_plan_release. */
int cpu_plan_create(device *self, cpu_plan_kind kind, dtype type, cpu_plan **out, ls_error *error);
void cpu_plan_release(device *self, plan *plan);
/* The larger of the workspace so far and `bytes`. */
void cpu_plan_need_workspace(cpu_plan *plan, size_t bytes);

#endif
