/* Convolution on the cuda device, by cuDNN 9's graph API. The ops' contracts are in device/ops.h;
 * reading order: conv_graph.h (what is asked of cuDNN), conv_engine.h (how it would do it),
 * conv_choose.h (which of its ways is taken), conv_run.h (doing it), choices.h (remembering).
 *
 * An input of 3 channels is not padded: for it, too, cuDNN offers tensor-core engines in every 16
 * bit type and direction, on A100 and H200 (tests/plans/ prints them), and padding would cost a
 * pass of its own over the batch. */
#ifndef LOCKSTEP_CUDA_CONV_H
#define LOCKSTEP_CUDA_CONV_H

#include "cuda_device.h"

/* Builds the plans of all directions; the engines are those of device->choices, or are chosen
 * (conv_choose.h), which takes half a second to build candidates (and the rest of a compilation
 * that was begun) and as much to time them, a direction. Synchronises. */
int cuda_conv2d_prepare(device *self, const conv2d_shape *shape, const plan *like, plan **out,
                        ls_error *error);
/* No allocation, no synchronisation; may be recorded into a graph. x, y, dy and dx are
 * aligned to 16 bytes (LS_FAILED, where cuDNN computes). */
int cuda_conv2d_forward(plan *plan, device_stream *stream, const void *x, const float *weights,
                        const void *packed, const float *bias, void *y, void *workspace,
                        ls_error *error);
int cuda_conv2d_backward_data(plan *plan, device_stream *stream, const void *dy,
                              const float *weights, const void *packed, void *dx, void *workspace,
                              ls_error *error);
int cuda_conv2d_backward_weights(plan *plan, device_stream *stream, const void *x, const void *dy,
                                 float *dweights, float *dbias, void *workspace, ls_error *error);

/* device->choices: made when the device is opened (its facts.name and dnn must be there), with the
 * cache file `path` ("" or NULL: none); close writes it where something was chosen since. */
int cuda_choices_open(cuda_device *device, const char *path, ls_error *error);
void cuda_choices_close(cuda_device *device); /* never opened is fine */
/* device.h's choices_export (which also writes the cache file) and choices_import. */
int cuda_choices_export(device *self, char **out, ls_error *error);
int cuda_choices_import(device *self, const char *text, ls_error *error);

#endif
