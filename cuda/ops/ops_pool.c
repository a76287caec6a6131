/* Max pooling on the cuda device: checks, and the launches. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"
#include "device/kinds/maxpool2d.h"

typedef struct pool_plan {
    plan base;
    maxpool2d_shape shape;
} pool_plan;

static pool_arguments arguments_of(const maxpool2d_shape *shape) {
    return (pool_arguments){shape->n,        shape->height, shape->width,
                            shape->channels, shape->window, shape->relu_input};
}

static int check(const maxpool2d_shape *shape, ls_error *error) {
    if (shape->type != DTYPE_F32 && shape->type != DTYPE_BF16 && shape->type != DTYPE_F16)
        return ls_fail(error, LS_FAILED,
                       "cuda maxpool2d: expected fp32, bf16 or fp16 activations, found %s",
                       dtype_name(shape->type));
    if (maxpool2d_stride(shape) != shape->window || shape->padding)
        return ls_fail(error, LS_FAILED,
                       "cuda maxpool2d: expected a stride of the window's %d and no padding, found "
                       "%d and %d (--device cpu has such)",
                       shape->window, maxpool2d_stride(shape), shape->padding);
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

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const maxpool2d_shape *shape = wanted;
    LS_TRY(check(shape, error));
    ((pool_plan *)self)->shape = *shape;
    self->saved_bytes = (size_t)shape->n * (size_t)(shape->height / shape->window) *
                        (size_t)(shape->width / shape->window) * (size_t)shape->channels;
    pool_arguments arguments = arguments_of(shape);
    const cuda_device *cuda = (const cuda_device *)self->device;
    self->sums_dx = !(cuda->avoided & CUDA_AVOID_POOLED_SUMS) && kernel_maxpool2d_sums(&arguments);
    if (self->sums_dx)
        plan_need_workspace(self,
                            kernel_maxpool2d_sums_workspace(cuda->multiprocessors, &arguments));
    text_add(&self->description, "kernel, window %d, %s", shape->window, dtype_name(shape->type));
    return LS_OK;
}

static const maxpool2d_shape *enter(const plan *self) {
    cuda_enter_plan(self);
    return &((const pool_plan *)self)->shape;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    const maxpool2d_shape *shape = enter(self);
    pool_arguments arguments = arguments_of(shape);
    CUDA_TRY(kernel_maxpool2d_forward(cuda_stream(a->stream), shape->type, &arguments, a->x[0],
                                      a->y, a->saved),
             "maxpool2d forward");
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    const maxpool2d_shape *shape = enter(self);
    const cuda_device *cuda = (const cuda_device *)self->device;
    pool_arguments arguments = arguments_of(shape);
    if (a->dx_sums)
        CUDA_TRY(kernel_maxpool2d_backward_sums(cuda_stream(a->stream), cuda->multiprocessors,
                                                shape->type, &arguments, a->dy, a->y, a->saved,
                                                a->dx[0], a->dx_sums, a->workspace, cuda->scratch),
                 "maxpool2d backward with sums");
    else
        CUDA_TRY(kernel_maxpool2d_backward(cuda_stream(a->stream), shape->type, &arguments, a->dy,
                                           a->y, a->saved, a->dx[0]),
                 "maxpool2d backward");
    return LS_OK;
}

const op cuda_maxpool2d = {
    .kind = &op_maxpool2d,
    .plan_bytes = sizeof(pool_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
