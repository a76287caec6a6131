/* Class token and positions on the cuda device: checks, and the launches. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"
#include "device/kinds/embedding.h"

typedef struct embedding_plan {
    plan base;
    embedding_shape shape;
} embedding_plan;

static token_arguments arguments_of(const embedding_shape *shape) {
    return (token_arguments){shape->n, shape->tokens + 1, shape->channels};
}

/* Of a sample's y, which is a row of what the positions' gradient sums up. */
static int columns_of(const embedding_shape *shape) {
    return (shape->tokens + 1) * shape->channels;
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const embedding_shape *shape = wanted;
    token_arguments arguments = arguments_of(shape);
    LS_TRY(cuda_check_type("embedding", shape->type, error));
    if (!kernel_tokens_fit(&arguments))
        return ls_fail(error, LS_FAILED,
                       "cuda embedding: [%d, %d, %d] has more than 2^31 - 1 elements; give a "
                       "smaller batch",
                       shape->n, shape->tokens + 1, shape->channels);
    ((embedding_plan *)self)->shape = *shape;
    plan_need_workspace(self, kernel_column_sums_workspace(cuda_processors(self), shape->type,
                                                           (size_t)shape->n, columns_of(shape)));
    text_add(&self->description, "kernels, %s", dtype_name(shape->type));
    return LS_OK;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    const embedding_shape *shape = &((const embedding_plan *)self)->shape;
    token_arguments arguments = arguments_of(shape);
    cuda_enter_plan(self);
    CUDA_TRY(kernel_embed(cuda_stream(a->stream), shape->type, &arguments, a->x[0],
                          a->parameters[0], a->parameters[1], a->y),
             "embedding forward");
    return LS_OK;
}

static int backward_parameters(plan *self, const op_arguments *a, ls_error *error) {
    const embedding_shape *shape = &((const embedding_plan *)self)->shape;
    cuda_enter_plan(self);
    CUDA_TRY(kernel_column_sums(cuda_stream(a->stream), cuda_processors(self), shape->type, a->dy,
                                (size_t)shape->n, columns_of(shape), a->gradients[1], a->workspace),
             "the positions' gradient");
    return cuda_copy(self->device, a->stream, a->gradients[0], a->gradients[1],
                     (size_t)shape->channels * sizeof(float), COPY_ON_DEVICE, error);
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    const embedding_shape *shape = &((const embedding_plan *)self)->shape;
    token_arguments arguments = arguments_of(shape);
    cuda_enter_plan(self);
    CUDA_TRY(
        kernel_embed_backward(cuda_stream(a->stream), shape->type, &arguments, a->dy, a->dx[0]),
        "embedding backward");
    return LS_OK;
}

const op cuda_embedding = {
    .kind = &op_embedding,
    .plan_bytes = sizeof(embedding_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
