/* Max pooling on the cuda device: checks, and the launches. */
#include "kernels.h"
#include "ops_cuda.h"

#include <stdio.h>

static pool_arguments arguments_of(const maxpool2d_shape *shape) {
    return (pool_arguments){shape->n,        shape->height, shape->width,
                            shape->channels, shape->window, shape->relu_input};
}

static int check(const maxpool2d_shape *shape, ls_error *error) {
    if (shape->type != DTYPE_F32 && shape->type != DTYPE_BF16 && shape->type != DTYPE_F16)
        return ls_fail(error, LS_FAILED,
                       "cuda maxpool2d: expected fp32, bf16 or fp16 activations, found %s",
                       dtype_name(shape->type));
    if (shape->in_layout != LAYOUT_NHWC || shape->out_layout != LAYOUT_NHWC)
        return ls_fail(error, LS_FAILED, "cuda maxpool2d: expected channels-last activations");
    /* 16 x 16 = 256 positions is what a byte can tell apart. */
    if (shape->window < 1 || shape->window > 16 || shape->window > shape->height ||
        shape->window > shape->width)
        return ls_fail(error, LS_FAILED,
                       "cuda maxpool2d: expected a window of 1 to 16 inside %d x %d, found %d",
                       shape->height, shape->width, shape->window);
    pool_arguments arguments = arguments_of(shape);
    if (!kernel_maxpool2d_fits(&arguments))
        return ls_fail(error, LS_FAILED,
                       "cuda maxpool2d: [%d, %d, %d, %d] has more than 2^31 - 1 outputs; give a "
                       "smaller batch",
                       shape->n, shape->height, shape->width, shape->channels);
    return LS_OK;
}

int cuda_maxpool2d_prepare(device *self, const maxpool2d_shape *shape, plan **out,
                           ls_error *error) {
    LS_TRY(check(shape, error));
    cuda_plan *made;
    LS_TRY(cuda_plan_create(self, CUDA_MAXPOOL2D, &made, error));
    made->shape.maxpool2d = *shape;
    made->saved_bytes = (size_t)shape->n * (size_t)(shape->height / shape->window) *
                        (size_t)(shape->width / shape->window) * (size_t)shape->channels;
    snprintf(made->description, sizeof made->description, "kernel, window %d, %s", shape->window,
             dtype_name(shape->type));
    *out = (plan *)made;
    return LS_OK;
}

static const maxpool2d_shape *enter(plan *plan) {
    cuda_plan *self = cuda_plan_of(plan);
    cuda_enter(&self->device->base);
    return &self->shape.maxpool2d;
}

int cuda_maxpool2d_forward(plan *plan, device_stream *stream, const void *x, void *y, void *saved,
                           ls_error *error) {
    const maxpool2d_shape *shape = enter(plan);
    pool_arguments arguments = arguments_of(shape);
    CUDA_TRY(kernel_maxpool2d_forward(cuda_stream(stream), shape->type, &arguments, x, y, saved),
             "maxpool2d forward");
    return LS_OK;
}

int cuda_maxpool2d_backward(plan *plan, device_stream *stream, const void *dy, const void *y,
                            const void *saved, void *dx, ls_error *error) {
    const maxpool2d_shape *shape = enter(plan);
    pool_arguments arguments = arguments_of(shape);
    CUDA_TRY(
        kernel_maxpool2d_backward(cuda_stream(stream), shape->type, &arguments, dy, y, saved, dx),
        "maxpool2d backward");
    return LS_OK;
}
