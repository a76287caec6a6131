/* Ops of the cuda device that our own kernels compute, by file; their contracts are in
 * device/ops.h. ops_cuda.c puts them into the table. */
#ifndef LOCKSTEP_CUDA_OPS_CUDA_H
#define LOCKSTEP_CUDA_OPS_CUDA_H

#include "cuda_device.h"

/* ops_pool.c */
int cuda_maxpool2d_prepare(device *self, const maxpool2d_shape *shape, plan **out, ls_error *error);
int cuda_maxpool2d_forward(plan *plan, device_stream *stream, const void *x, void *y, void *saved,
                           ls_error *error);
int cuda_maxpool2d_backward(plan *plan, device_stream *stream, const void *dy, const void *y,
                            const void *saved, void *dx, ls_error *error);

/* ops_loss.c */
int cuda_softmax_cross_entropy(device *self, device_stream *stream, int n, int classes, dtype type,
                               const void *logits, const int32_t *labels, float gradient_scale,
                               const step_state *state, void *dlogits, loss_totals *totals,
                               ls_error *error);

/* ops_batch.c */
int cuda_make_batch(device *self, device_stream *stream, const batch_arguments *arguments,
                    ls_error *error);

/* ops_optimizer.c */
int cuda_adam(device *self, device_stream *stream, const adam_arguments *arguments,
              const parameter_range *ranges, int range_count, ls_error *error);
int cuda_sgd(device *self, device_stream *stream, const sgd_arguments *arguments,
             const parameter_range *ranges, int range_count, ls_error *error);

/* ops_elementwise.c */
int cuda_relu_backward(device *self, device_stream *stream, size_t count, dtype type, const void *y,
                       void *dy, ls_error *error);
int cuda_add(device *self, device_stream *stream, size_t count, dtype type, const void *from,
             void *to, ls_error *error);
int cuda_cast(device *self, device_stream *stream, size_t count, dtype from_type, const void *from,
              dtype to_type, void *to, ls_error *error);
int cuda_check_finite(device *self, device_stream *stream, const float *values, size_t count,
                      step_state *state, ls_error *error);
int cuda_advance(device *self, device_stream *stream, step_state *state, int64_t images,
                 bool updated, bool scaling, ls_error *error);
int cuda_sum_of_squares(device *self, device_stream *stream, const float *values, size_t count,
                        double *out, ls_error *error);
int cuda_fingerprint(device *self, device_stream *stream, const float *values, size_t count,
                     fingerprint *out, ls_error *error);

#endif
