/* Dropout and stochastic depth on the cuda device: checks, and the launches. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"
#include "device/kinds/dropout.h"

typedef struct dropout_plan {
    plan base;
    dropout_shape shape;
} dropout_plan;

/* draws NULL: for what the shape alone decides. */
static dropout_arguments arguments_of(const dropout_shape *shape, const op_draws *draws) {
    return (dropout_arguments){.n = shape->n,
                               .each = shape->each,
                               .whole = shape->whole,
                               .stream = shape->stream,
                               .least = dropout_least(shape->rate),
                               .scale = dropout_scale(shape),
                               .seed = draws ? draws->seed : 0,
                               .first = draws ? draws->first : 0,
                               .state = draws ? draws->state : NULL};
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const dropout_shape *shape = wanted;
    dropout_arguments arguments = arguments_of(shape, NULL);
    LS_TRY(cuda_check_type("dropout", shape->type, error));
    if (!kernel_dropout_fits(&arguments))
        return ls_fail(error, LS_FAILED,
                       "cuda dropout: %d samples of %zu elements are too large for one call; give "
                       "a smaller batch",
                       shape->n, shape->each);
    ((dropout_plan *)self)->shape = *shape;
    text_add(&self->description, "kernel, %s", dtype_name(shape->type));
    return LS_OK;
}

/* Of x, or of y's gradient: both lose the same. */
static int leave_out(plan *self, const op_arguments *a, const void *from, void *to,
                     ls_error *error) {
    const dropout_shape *shape = &((const dropout_plan *)self)->shape;
    dropout_arguments arguments = arguments_of(shape, a->draws);
    cuda_enter_plan(self);
    CUDA_TRY(kernel_dropout(cuda_stream(a->stream), shape->type, &arguments, from, to), "dropout");
    return LS_OK;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    const dropout_shape *shape = &((const dropout_plan *)self)->shape;
    size_t bytes = (size_t)shape->n * shape->each * dtype_bytes(shape->type);
    if (a->training)
        return leave_out(self, a, a->x[0], a->y, error);
    cuda_enter_plan(self);
    return cuda_copy(self->device, a->stream, a->y, a->x[0], bytes, COPY_ON_DEVICE, error);
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    return leave_out(self, a, a->dy, a->dx[0], error);
}

const op cuda_dropout = {
    .kind = &op_dropout,
    .plan_bytes = sizeof(dropout_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
