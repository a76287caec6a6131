/* Ops of the cuda device that our own kernels compute, by file; their contracts are in
 * device/ops.h. ops_cuda.c puts them into the table. */
#ifndef LOCKSTEP_CUDA_OPS_OPS_CUDA_H
#define LOCKSTEP_CUDA_OPS_OPS_CUDA_H

#include "cuda/device/cuda_device.h"

/* ops_cuda.c: the tables. */
extern const ops ops_cuda;
extern const op *const cuda_kinds[]; /* ended by NULL */
/* LS_FAILED where our kernels have no such activations. */
int cuda_check_type(const char *kind, dtype type, ls_error *error);

static inline int cuda_processors(const plan *self) {
    return ((const cuda_device *)self->device)->multiprocessors;
}

/* ops_pool.c, ops_join.c, ops_norm.c, ops_average.c: kinds of device/op.h. */
extern const op cuda_maxpool2d, cuda_join, cuda_batchnorm2d, cuda_avgpool2d;
/* ops_dropout.c, ops_layernorm.c, ops_patches.c, ops_embedding.c, ops_tokenpool.c */
extern const op cuda_dropout, cuda_layernorm, cuda_patches, cuda_embedding, cuda_tokenpool;

/* ops_loss.c */
int cuda_softmax_cross_entropy(device *self, device_stream *stream, const loss_arguments *arguments,
                               ls_error *error);

/* ops_batch.c */
int cuda_make_batch(device *self, device_stream *stream, const batch_arguments *arguments,
                    ls_error *error);

/* ops_optimizer.c */
int cuda_adam(device *self, device_stream *stream, const adam_constants *constants,
              const update_arguments *arguments, const parameter_range *ranges, int range_count,
              ls_error *error);
int cuda_sgd(device *self, device_stream *stream, const sgd_constants *constants,
             const update_arguments *arguments, const parameter_range *ranges, int range_count,
             ls_error *error);
int cuda_average(device *self, device_stream *stream, const float *values, float *average,
                 size_t count, double decay, const step_state *state, ls_error *error);
int cuda_clip_norm(device *self, device_stream *stream, const double *sums, size_t count,
                   double most, step_state *state, ls_error *error);

/* ops_epoch.c */
int cuda_begin_epoch(device *self, device_stream *stream, const epoch_arguments *arguments,
                     ls_error *error);

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
int cuda_sums_of_squares(device *self, device_stream *stream, const float *values, size_t count,
                         double *out, ls_error *error);
int cuda_fingerprint(device *self, device_stream *stream, const float *values, size_t first,
                     size_t count, fingerprint *out, ls_error *error);

#endif
