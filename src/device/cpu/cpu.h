/* The cpu device: oneDNN for convolutions and matrix products, a few vectorised loops for the
 * rest, OpenMP threads. Everything is done when a call returns. */
#ifndef LOCKSTEP_DEVICE_CPU_CPU_H
#define LOCKSTEP_DEVICE_CPU_CPU_H

#include "device/cpu/forms.h"
#include "device/cpu/layouts.h"
#include "device/cpu/onednn.h"
#include "device/cpu/winograd.h"
#include "device/kinds/avgpool2d.h"
#include "device/kinds/linear.h"
#include "device/kinds/maxpool2d.h"
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

/* LOCKSTEP_CONVOLUTIONS: direct, library, or fastest where it is not set. */
int cpu_conv2d_wanted(cpu_conv2d_algorithm *out, ls_error *error);

/* pool.c, pool_backward.c, pool_gather.c: max pooling's loops; contracts in
 * device/kinds/maxpool2d.h. Backward is of windows side by side, gather of any. */
void cpu_maxpool2d_forward(const maxpool2d_shape *shape, const void *x, void *y, void *saved);
void cpu_maxpool2d_backward(const maxpool2d_shape *shape, const void *dy, const void *y,
                            const void *saved, void *dx);
void cpu_maxpool2d_gather(const maxpool2d_shape *shape, const void *dy, const void *y,
                          const void *saved, void *dx);
/* avgpool.c: contracts in device/kinds/avgpool2d.h. */
void cpu_avgpool2d_forward(const avgpool2d_shape *shape, const void *x, void *y);
void cpu_avgpool2d_backward(const avgpool2d_shape *shape, const void *dy, void *dx);
/* elementwise.c: y = a + b of fp32 or bf16, rounded, then its positive part where `relu`. */
void cpu_add_two(dtype type, size_t count, const void *a, const void *b, bool relu, void *y);

int cpu_relu_backward(device *self, device_stream *stream, size_t count, dtype type, const void *y,
                      void *dy, ls_error *error);
int cpu_add(device *self, device_stream *stream, size_t count, dtype type, const void *from,
            void *to, ls_error *error);
int cpu_softmax_cross_entropy(device *self, device_stream *stream, const loss_arguments *arguments,
                              ls_error *error);
/* gelu.c: y = the GELU of z (of either form), fp32 or bf16; z = dy times its derivative at z. */
void cpu_gelu(activation form, dtype type, size_t count, const void *z, void *y);
void cpu_gelu_backward(activation form, dtype type, size_t count, const void *dy, void *z);
/* to[column] = the sum of from[row][column], fp32 or bf16, in an order that is the number of rows'
 * alone. */
void cpu_sum_rows(dtype type, const void *from, float *to, size_t rows, size_t columns);
/* cast.c: one thread's part, and the contract is cast's. */
void cpu_round_to_bf16(const float *from, uint16_t *to, size_t count);
int cpu_cast(device *self, device_stream *stream, size_t count, dtype from_type, const void *from,
             dtype to_type, void *to, ls_error *error);
int cpu_make_batch(device *self, device_stream *stream, const batch_arguments *arguments,
                   ls_error *error);
int cpu_adam(device *self, device_stream *stream, const adam_constants *constants,
             const update_arguments *arguments, const parameter_range *ranges, int range_count,
             ls_error *error);
int cpu_sgd(device *self, device_stream *stream, const sgd_constants *constants,
            const update_arguments *arguments, const parameter_range *ranges, int range_count,
            ls_error *error);
int cpu_adam_pair(device *self, device_stream *stream, const adam_constants *constants,
                  const update_arguments *arguments, const update_pair *pair,
                  const parameter_range *ranges, int range_count, ls_error *error);
int cpu_sgd_pair(device *self, device_stream *stream, const sgd_constants *constants,
                 const update_arguments *arguments, const update_pair *pair,
                 const parameter_range *ranges, int range_count, ls_error *error);
int cpu_average(device *self, device_stream *stream, const float *values, float *average,
                size_t count, double decay, const step_state *state, ls_error *error);
int cpu_clip_norm(device *self, device_stream *stream, const double *sums, size_t count,
                  double most, step_state *state, ls_error *error);

int cpu_check_finite(device *self, device_stream *stream, const float *values, size_t count,
                     step_state *state, ls_error *error);
int cpu_advance(device *self, device_stream *stream, step_state *state, int64_t images,
                bool updated, bool scaling, ls_error *error);
int cpu_sums_of_squares(device *self, device_stream *stream, const float *values, size_t count,
                        double *out, ls_error *error);
int cpu_fingerprint(device *self, device_stream *stream, const float *values, size_t first,
                    size_t count, fingerprint *out, ls_error *error);

/* LS_FAILED, naming the op and the type, for activations that this device has no loops for. */
int cpu_check_type(const char *op, dtype type, ls_error *error);

#endif
