/* y = x * weights^T + bias and its gradients: three products. Between two such layers with a ReLU
 * the first one's product keeps bits of it, by which the second one's masks the gradient. Factors
 * have the type of the activations (weights: their packed copy where that is not fp32), gradients
 * of parameters are fp32. The bias's gradient is the column sums of dy, which its product adds up
 * too.
 *
 * A GELU is kernels of ours: what it is applied to goes to `saved`, where backward makes it the
 * gradient of itself. cuBLASLt's epilogue of that name is the approximation by tanh alone, of sums
 * that were not rounded to what is kept. */
#include "cuda/blas/linear.h"
#include "cuda/blas/product.h"
#include "cuda/kernels/kernels.h"

#include "device/kinds/linear.h"

typedef struct linear_plan {
    plan base;
    linear_shape shape;
    product *forward, *backward_data, *backward_weights;
    bool wrote_bits; /* of y > 0, into what is saved: the latest forward */
} linear_plan;

static linear_plan *linear_of(plan *self) {
    return (linear_plan *)self;
}

static bool has_gelu(const plan *self) {
    return activation_is_gelu(((const linear_plan *)self)->shape.activation);
}

static bool is_by_tanh(const linear_shape *shape) {
    return shape->activation == ACTIVATION_GELU_TANH;
}

static void release(plan *base) {
    cuda_enter_plan(base);
    linear_plan *self = linear_of(base);
    product_destroy(self->forward);
    product_destroy(self->backward_data);
    product_destroy(self->backward_weights);
}

static product_shape plain(const linear_shape *shape) {
    return (product_shape){.type = shape->type, .result_type = shape->type, .tf32 = shape->tf32};
}

/* [n, out] = x [n, in] * weights [out, in] transposed */
static int prepare_forward(linear_plan *self, ls_error *error) {
    const linear_shape *shape = &self->shape;
    product_shape wanted = plain(shape);
    wanted.rows = shape->n, wanted.columns = shape->out_features, wanted.inner = shape->in_features;
    wanted.right_transposed = true;
    wanted.epilogue = shape->activation != ACTIVATION_RELU ? PRODUCT_BIAS
                      : shape->masked_by_reader            ? PRODUCT_BIAS_RELU_BITS
                                                           : PRODUCT_BIAS_RELU;
    if (activation_is_gelu(shape->activation))
        self->base.saved_bytes = linear_outputs(shape) * dtype_bytes(shape->type);
    if (shape->masked_by_reader)
        self->base.saved_bytes = product_bits_bytes(wanted.rows, wanted.columns);
    LS_TRY(product_create((cuda_device *)self->base.device, &wanted, &self->forward, error));
    plan_need_workspace(&self->base, product_workspace_bytes(self->forward));
    return LS_OK;
}

/* [n, in] = dy [n, out] * weights [out, in] */
static int prepare_backward_data(linear_plan *self, ls_error *error) {
    const linear_shape *shape = &self->shape;
    product_shape wanted = plain(shape);
    wanted.rows = shape->n, wanted.columns = shape->in_features, wanted.inner = shape->out_features;
    wanted.epilogue = shape->relu_input ? PRODUCT_MASK : PRODUCT_PLAIN;
    self->base.masks_dx = shape->relu_input;
    LS_TRY(product_create((cuda_device *)self->base.device, &wanted, &self->backward_data, error));
    plan_need_workspace(&self->base, product_workspace_bytes(self->backward_data));
    return LS_OK;
}

/* [out, in] = dy [n, out] transposed * x [n, in]; the sums over n of dy are sums of its left
 * factor over the inner dimension. */
static int prepare_backward_weights(linear_plan *self, ls_error *error) {
    const linear_shape *shape = &self->shape;
    product_shape wanted = plain(shape);
    wanted.rows = shape->out_features, wanted.columns = shape->in_features, wanted.inner = shape->n;
    wanted.left_transposed = true;
    wanted.result_type = DTYPE_F32;
    wanted.epilogue = PRODUCT_LEFT_SUMS;
    LS_TRY(
        product_create((cuda_device *)self->base.device, &wanted, &self->backward_weights, error));
    plan_need_workspace(&self->base, product_workspace_bytes(self->backward_weights));
    return LS_OK;
}

/* A product may take another way later: described when it is asked. */
static void describe(plan *base) {
    const linear_plan *self = linear_of(base);
    text_add(&base->description, "cuBLASLt %s%s / %s / %s", product_describe(self->forward),
             has_gelu(base) ? " and GELU by a kernel" : "",
             self->backward_data ? product_describe(self->backward_data) : "-",
             product_describe(self->backward_weights));
}

/* The packed copy is the canonical array rounded, whatever n. */
static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    linear_plan *self = linear_of(base);
    const linear_shape *shape = wanted;
    self->shape = *shape;
    if (((cuda_device *)base->device)->avoided & CUDA_AVOID_RELU_BITS)
        self->shape.relu_input = self->shape.masked_by_reader = false;
    cuda_enter_plan(base);
    LS_TRY(prepare_forward(self, error));
    if (shape->need_dx)
        LS_TRY(prepare_backward_data(self, error));
    LS_TRY(prepare_backward_weights(self, error));
    cuda_plan_packs(base, (size_t)shape->out_features * (size_t)shape->in_features,
                    (size_t)shape->out_features, shape->type);
    return LS_OK;
}

static int multiply(plan *self, const op_arguments *a, void *result, ls_error *error) {
    product_operands operands = {.left = a->x[0],
                                 .right = cuda_weights(self, a),
                                 .result = result,
                                 /* Only read: sums would be written to the same argument. */
                                 .vector = (float *)a->parameters[1],
                                 .low_bias = a->packed[1],
                                 .bits = has_gelu(self) ? NULL : a->saved,
                                 .wrote_bits = &linear_of(self)->wrote_bits,
                                 .workspace = a->workspace};
    return product_run(linear_of(self)->forward, a->stream, &operands, error);
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    const linear_shape *shape = &linear_of(self)->shape;
    cuda_enter_plan(self);
    LS_TRY(multiply(self, a, has_gelu(self) ? a->saved : a->y, error));
    if (has_gelu(self))
        CUDA_TRY(kernel_gelu(cuda_stream(a->stream), shape->type, linear_outputs(shape),
                             is_by_tanh(shape), a->saved, a->y),
                 "GELU");
    return LS_OK;
}

/* The gradient of product and bias. */
static const void *delta_of(const plan *self, const op_arguments *a) {
    return has_gelu(self) ? a->saved : a->dy;
}

/* The bits of x > 0 that the layer before has saved, where its product made any. */
static void *bits_of_x(const op_arguments *a) {
    return a->x_plan && linear_of(a->x_plan)->wrote_bits ? (void *)a->x_saved : NULL;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    cuda_enter_plan(self);
    product_operands operands = {.left = delta_of(self, a),
                                 .right = cuda_weights(self, a),
                                 .result = a->dx[0],
                                 .bits = bits_of_x(a),
                                 .masked_by = a->x[0],
                                 .workspace = a->workspace};
    return product_run(linear_of(self)->backward_data, a->stream, &operands, error);
}

static int backward_parameters(plan *self, const op_arguments *a, ls_error *error) {
    const linear_shape *shape = &linear_of(self)->shape;
    cuda_enter_plan(self);
    if (has_gelu(self))
        CUDA_TRY(kernel_gelu_backward(cuda_stream(a->stream), shape->type, linear_outputs(shape),
                                      is_by_tanh(shape), a->dy, a->saved),
                 "GELU backward");
    product_operands operands = {.left = delta_of(self, a),
                                 .right = a->x[0],
                                 .result = a->gradients[0],
                                 .vector = a->gradients[1],
                                 .workspace = a->workspace};
    return product_run(linear_of(self)->backward_weights, a->stream, &operands, error);
}

const op cuda_linear = {
    .kind = &op_linear,
    .plan_bytes = sizeof(linear_plan),
    .prepare = prepare,
    .release = release,
    .describe = describe,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
