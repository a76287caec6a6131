/* Attention on the cuda device: checks, and the launches. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"
#include "device/kinds/attention.h"

typedef struct attention_plan {
    plan base;
    attention_shape shape;
} attention_plan;

static attention_arguments arguments_of(const attention_shape *shape) {
    return (attention_arguments){shape->n, shape->tokens, shape->heads, shape->head_dim};
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const attention_shape *shape = wanted;
    attention_arguments arguments = arguments_of(shape);
    LS_TRY(cuda_check_type("attention", shape->type, error));
    if (!kernel_attention_fits(&arguments))
        return ls_fail(error, LS_FAILED,
                       "cuda attention: expected heads of at most 128 and a batch of a grid's "
                       "size, found [%d, %d, %d, %d]",
                       shape->n, shape->tokens, shape->heads, shape->head_dim);
    ((attention_plan *)self)->shape = *shape;
    self->saved_bytes =
        (size_t)shape->n * (size_t)shape->heads * (size_t)shape->tokens * sizeof(float);
    text_add(&self->description, "kernels, %s", dtype_name(shape->type));
    return LS_OK;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    const attention_shape *shape = &((const attention_plan *)self)->shape;
    attention_arguments arguments = arguments_of(shape);
    cuda_enter_plan(self);
    CUDA_TRY(kernel_attention_forward(cuda_stream(a->stream), shape->type, &arguments, a->x[0],
                                      a->y, a->training ? a->saved : NULL),
             "attention forward");
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    const attention_shape *shape = &((const attention_plan *)self)->shape;
    attention_arguments arguments = arguments_of(shape);
    cuda_enter_plan(self);
    CUDA_TRY(kernel_attention_backward(cuda_stream(a->stream), shape->type, &arguments, a->x[0],
                                       a->y, a->dy, a->saved, a->dx[0]),
             "attention backward");
    return LS_OK;
}

const op cuda_attention = {
    .kind = &op_attention,
    .plan_bytes = sizeof(attention_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
