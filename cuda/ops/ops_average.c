/* Global average pooling on the cuda device: checks, and the launches. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"
#include "device/kinds/avgpool2d.h"

typedef struct average_plan {
    plan base;
    avgpool2d_shape shape;
} average_plan;

static mean_arguments arguments_of(const avgpool2d_shape *shape) {
    return (mean_arguments){shape->n, shape->height * shape->width, shape->channels};
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const avgpool2d_shape *shape = wanted;
    mean_arguments arguments = arguments_of(shape);
    LS_TRY(cuda_check_type("avgpool2d", shape->type, error));
    if (shape->in_layout != LAYOUT_NHWC)
        return ls_fail(error, LS_FAILED, "cuda avgpool2d: expected channels-last activations");
    if (!kernel_means_fit(&arguments))
        return ls_fail(error, LS_FAILED,
                       "cuda avgpool2d: [%d, %d, %d, %d] has more than 2^31 - 1 elements; give a "
                       "smaller batch",
                       shape->n, shape->height, shape->width, shape->channels);
    ((average_plan *)self)->shape = *shape;
    text_add(&self->description, "kernels, %s", dtype_name(shape->type));
    return LS_OK;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    const avgpool2d_shape *shape = &((const average_plan *)self)->shape;
    mean_arguments arguments = arguments_of(shape);
    cuda_enter_plan(self);
    CUDA_TRY(kernel_means_forward(cuda_stream(a->stream), shape->type, &arguments, a->x[0], a->y),
             "avgpool2d forward");
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    const avgpool2d_shape *shape = &((const average_plan *)self)->shape;
    mean_arguments arguments = arguments_of(shape);
    cuda_enter_plan(self);
    CUDA_TRY(
        kernel_means_backward(cuda_stream(a->stream), shape->type, &arguments, a->dy, a->dx[0]),
        "avgpool2d backward");
    return LS_OK;
}

const op cuda_avgpool2d = {
    .kind = &op_avgpool2d,
    .plan_bytes = sizeof(average_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
