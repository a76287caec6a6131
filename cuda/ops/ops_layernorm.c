/* Layer normalisation on the cuda device: checks, and the launches. backward_parameters writes dx
 * too: one pass over x and dy serves both. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"
#include "device/kinds/layernorm.h"

typedef struct layernorm_plan {
    plan base;
    layernorm_shape shape;
} layernorm_plan;

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const layernorm_shape *shape = wanted;
    LS_TRY(cuda_check_type("layernorm", shape->type, error));
    ((layernorm_plan *)self)->shape = *shape;
    self->saved_bytes = kernel_layernorm_state_bytes((size_t)shape->rows);
    plan_need_workspace(self, kernel_layernorm_workspace(cuda_processors(self), shape->channels));
    text_add(&self->description, "kernels, %s", dtype_name(shape->type));
    return LS_OK;
}

static layernorm_arguments arguments_of(const layernorm_shape *shape, const op_arguments *a) {
    return (layernorm_arguments){.rows = (size_t)shape->rows,
                                 .channels = shape->channels,
                                 .epsilon = shape->epsilon,
                                 .gamma = a->parameters[0],
                                 .beta = a->parameters[1]};
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    const layernorm_shape *shape = &((const layernorm_plan *)self)->shape;
    layernorm_arguments arguments = arguments_of(shape, a);
    cuda_enter_plan(self);
    CUDA_TRY(kernel_layernorm_forward(cuda_stream(a->stream), shape->type, &arguments, a->x[0],
                                      a->y, a->saved),
             "layernorm forward");
    return LS_OK;
}

static int backward_parameters(plan *self, const op_arguments *a, ls_error *error) {
    const layernorm_shape *shape = &((const layernorm_plan *)self)->shape;
    layernorm_arguments arguments = arguments_of(shape, a);
    layernorm_gradients gradients = {a->x[0], a->dy, a->dx[0], a->gradients[0], a->gradients[1]};
    cuda_enter_plan(self);
    CUDA_TRY(kernel_layernorm_backward(cuda_stream(a->stream), cuda_processors(self), shape->type,
                                       &arguments, &gradients, a->saved, a->workspace),
             "layernorm backward");
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)self, (void)a, (void)error;
    return LS_OK;
}

const op cuda_layernorm = {
    .kind = &op_layernorm,
    .plan_bytes = sizeof(layernorm_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
