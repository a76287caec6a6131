/* A residual join on the cuda device. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"
#include "device/kinds/join.h"

typedef struct join_plan {
    plan base;
    join_shape shape;
} join_plan;

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const join_shape *shape = wanted;
    LS_TRY(plan_refuse_activation(self, shape->activation, error));
    ((join_plan *)self)->shape = *shape;
    text_add(&self->description, "kernels, %s", dtype_name(shape->type));
    return LS_OK;
}

static size_t bytes_of(const join_shape *shape) {
    return shape->count * dtype_bytes(shape->type);
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    const join_shape *shape = &((join_plan *)self)->shape;
    cuda_enter_plan(self);
    CUDA_TRY(kernel_join(cuda_stream(a->stream), shape->type, shape->count,
                         shape->activation == ACTIVATION_RELU, a->x[0], a->x[1], a->y),
             "join");
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    const join_shape *shape = &((join_plan *)self)->shape;
    cuda_enter_plan(self);
    for (int input = 0; input < 2; input++)
        if (a->dx[input] && a->dx[input] != a->dy)
            LS_TRY(cuda_copy(self->device, a->stream, a->dx[input], a->dy, bytes_of(shape),
                             COPY_ON_DEVICE, error));
    return LS_OK;
}

const op cuda_join = {
    .kind = &op_join,
    .plan_bytes = sizeof(join_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
