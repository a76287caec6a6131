/* Max pooling on the cuda device: checks, and the launches. Windows side by side, which cover each
 * pixel once, have kernels of their own. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"
#include "device/kinds/maxpool2d.h"

typedef struct pool_plan {
    plan base;
    maxpool2d_shape shape;
} pool_plan;

static bool lies_side_by_side(const maxpool2d_shape *shape) {
    return maxpool2d_stride(shape) == shape->window && !shape->padding;
}

static pool_arguments arguments_of(const maxpool2d_shape *shape) {
    return (pool_arguments){shape->n,        shape->height, shape->width,
                            shape->channels, shape->window, shape->relu_input};
}

static window_arguments windows_of(const maxpool2d_shape *shape) {
    return (window_arguments){.n = shape->n,
                              .height = shape->height,
                              .width = shape->width,
                              .channels = shape->channels,
                              .out_height = maxpool2d_output(shape, shape->height),
                              .out_width = maxpool2d_output(shape, shape->width),
                              .window = shape->window,
                              .stride = maxpool2d_stride(shape),
                              .padding = shape->padding,
                              .relu_input = shape->relu_input};
}

static int check(const plan *self, const maxpool2d_shape *shape, ls_error *error) {
    LS_TRY(cuda_check_type("maxpool2d", shape->type, error));
    if (shape->in_layout != LAYOUT_NHWC || shape->out_layout != LAYOUT_NHWC)
        return ls_fail(error, LS_FAILED, "cuda maxpool2d: expected channels-last activations");
    LS_TRY(maxpool2d_check(self, shape, error));
    pool_arguments arguments = arguments_of(shape);
    window_arguments windows = windows_of(shape);
    if (lies_side_by_side(shape) ? !kernel_maxpool2d_fits(&arguments)
                                 : !kernel_windows_fit(&windows))
        return ls_fail(error, LS_FAILED,
                       "cuda maxpool2d: [%d, %d, %d, %d] has more than 2^31 - 1 elements; give a "
                       "smaller batch",
                       shape->n, shape->height, shape->width, shape->channels);
    return LS_OK;
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const maxpool2d_shape *shape = wanted;
    LS_TRY(check(self, shape, error));
    ((pool_plan *)self)->shape = *shape;
    window_arguments windows = windows_of(shape);
    self->saved_bytes = (size_t)shape->n * (size_t)windows.out_height * (size_t)windows.out_width *
                        (size_t)shape->channels;
    pool_arguments arguments = arguments_of(shape);
    const cuda_device *cuda = (const cuda_device *)self->device;
    self->sums_dx = lies_side_by_side(shape) && !(cuda->avoided & CUDA_AVOID_POOLED_SUMS) &&
                    kernel_maxpool2d_sums(&arguments);
    if (self->sums_dx)
        plan_need_workspace(self,
                            kernel_maxpool2d_sums_workspace(cuda->multiprocessors, &arguments));
    text_add(&self->description, "kernel, window %d", shape->window);
    if (!lies_side_by_side(shape))
        text_add(&self->description, ", stride %d, padding %d", windows.stride, shape->padding);
    text_add(&self->description, ", %s", dtype_name(shape->type));
    return LS_OK;
}

static const maxpool2d_shape *enter(const plan *self) {
    cuda_enter_plan(self);
    return &((const pool_plan *)self)->shape;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    const maxpool2d_shape *shape = enter(self);
    pool_arguments arguments = arguments_of(shape);
    window_arguments windows = windows_of(shape);
    if (lies_side_by_side(shape))
        CUDA_TRY(kernel_maxpool2d_forward(cuda_stream(a->stream), shape->type, &arguments, a->x[0],
                                          a->y, a->saved),
                 "maxpool2d forward");
    else
        CUDA_TRY(kernel_windows_forward(cuda_stream(a->stream), shape->type, &windows, a->x[0],
                                        a->y, a->saved),
                 "maxpool2d forward");
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    const maxpool2d_shape *shape = enter(self);
    const cuda_device *cuda = (const cuda_device *)self->device;
    pool_arguments arguments = arguments_of(shape);
    window_arguments windows = windows_of(shape);
    if (!lies_side_by_side(shape))
        CUDA_TRY(kernel_windows_backward(cuda_stream(a->stream), shape->type, &windows, a->dy, a->y,
                                         a->saved, a->dx[0]),
                 "maxpool2d backward");
    else if (a->dx_sums)
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
