/* Linear layers of the cuda device by cuBLASLt; the contracts are in device/ops.h. */
#ifndef LOCKSTEP_CUDA_LINEAR_H
#define LOCKSTEP_CUDA_LINEAR_H

#include "cuda_device.h"

int cuda_linear_prepare(device *self, const linear_shape *shape, const plan *like, plan **out,
                        ls_error *error);
int cuda_linear_forward(plan *plan, device_stream *stream, const void *x, const float *weights,
                        const void *packed, const float *bias, void *y, void *workspace,
                        ls_error *error);
int cuda_linear_backward_data(plan *plan, device_stream *stream, const void *dy,
                              const float *weights, const void *packed, void *dx, void *workspace,
                              ls_error *error);
int cuda_linear_backward_weights(plan *plan, device_stream *stream, const void *x, const void *dy,
                                 float *dweights, float *dbias, void *workspace, ls_error *error);

#endif
