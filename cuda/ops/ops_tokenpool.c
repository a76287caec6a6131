/* Pooling of tokens on the cuda device: checks, and the launches. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"
#include "device/kinds/tokenpool.h"

typedef struct tokenpool_plan {
    plan base;
    tokenpool_shape shape;
} tokenpool_plan;

static token_arguments arguments_of(const tokenpool_shape *shape) {
    return (token_arguments){shape->n, shape->tokens, shape->channels};
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const tokenpool_shape *shape = wanted;
    token_arguments arguments = arguments_of(shape);
    LS_TRY(cuda_check_type("tokenpool", shape->type, error));
    if (!kernel_tokens_fit(&arguments))
        return ls_fail(error, LS_FAILED,
                       "cuda tokenpool: [%d, %d, %d] has more than 2^31 - 1 elements; give a "
                       "smaller batch",
                       shape->n, shape->tokens, shape->channels);
    ((tokenpool_plan *)self)->shape = *shape;
    text_add(&self->description, "kernel, %s, %s", shape->mean ? "mean" : "first",
             dtype_name(shape->type));
    return LS_OK;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    const tokenpool_shape *shape = &((const tokenpool_plan *)self)->shape;
    token_arguments arguments = arguments_of(shape);
    cuda_enter_plan(self);
    CUDA_TRY(kernel_token_pool(cuda_stream(a->stream), shape->type, &arguments, shape->mean,
                               a->x[0], a->y),
             "tokenpool forward");
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    const tokenpool_shape *shape = &((const tokenpool_plan *)self)->shape;
    token_arguments arguments = arguments_of(shape);
    cuda_enter_plan(self);
    CUDA_TRY(kernel_token_pool_backward(cuda_stream(a->stream), shape->type, &arguments,
                                        shape->mean, a->dy, a->dx[0]),
             "tokenpool backward");
    return LS_OK;
}

const op cuda_tokenpool = {
    .kind = &op_tokenpool,
    .plan_bytes = sizeof(tokenpool_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
