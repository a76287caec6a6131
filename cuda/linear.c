/* y = x * weights^T + bias and its gradients: three products. Factors have the type of the
 * activations (weights: their packed copy where that is not fp32), gradients of parameters are
 * fp32. The bias's gradient is the column sums of dy, which its product adds up too. */
#include "linear.h"
#include "product.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct linear {
    product *forward, *backward_data, *backward_weights;
} linear;

static linear *linear_of(const cuda_plan *plan) {
    return plan->detail;
}

static void release(void *detail) {
    linear *self = detail;
    if (!self)
        return;
    product_destroy(self->forward);
    product_destroy(self->backward_data);
    product_destroy(self->backward_weights);
    free(self);
}

static void need_workspace(cuda_plan *plan, size_t bytes) {
    if (bytes > plan->workspace_bytes)
        plan->workspace_bytes = bytes;
}

static product_shape plain(const linear_shape *shape) {
    return (product_shape){.type = shape->type, .result_type = shape->type, .tf32 = shape->tf32};
}

/* [n, out] = x [n, in] * weights [out, in] transposed */
static int prepare_forward(cuda_plan *plan, ls_error *error) {
    const linear_shape *shape = &plan->shape.linear;
    linear *self = linear_of(plan);
    product_shape wanted = plain(shape);
    wanted.rows = shape->n, wanted.columns = shape->out_features, wanted.inner = shape->in_features;
    wanted.right_transposed = true;
    wanted.epilogue = shape->relu ? PRODUCT_BIAS_RELU : PRODUCT_BIAS;
    LS_TRY(product_create(plan->device, &wanted, &self->forward, error));
    need_workspace(plan, product_workspace_bytes(self->forward));
    return LS_OK;
}

/* [n, in] = dy [n, out] * weights [out, in] */
static int prepare_backward_data(cuda_plan *plan, ls_error *error) {
    const linear_shape *shape = &plan->shape.linear;
    linear *self = linear_of(plan);
    product_shape wanted = plain(shape);
    wanted.rows = shape->n, wanted.columns = shape->in_features, wanted.inner = shape->out_features;
    LS_TRY(product_create(plan->device, &wanted, &self->backward_data, error));
    need_workspace(plan, product_workspace_bytes(self->backward_data));
    return LS_OK;
}

/* [out, in] = dy [n, out] transposed * x [n, in]; the sums over n of dy are sums of its left
 * factor over the inner dimension. */
static int prepare_backward_weights(cuda_plan *plan, ls_error *error) {
    const linear_shape *shape = &plan->shape.linear;
    linear *self = linear_of(plan);
    product_shape wanted = plain(shape);
    wanted.rows = shape->out_features, wanted.columns = shape->in_features, wanted.inner = shape->n;
    wanted.left_transposed = true;
    wanted.result_type = DTYPE_F32;
    wanted.epilogue = PRODUCT_LEFT_SUMS;
    LS_TRY(product_create(plan->device, &wanted, &self->backward_weights, error));
    need_workspace(plan, product_workspace_bytes(self->backward_weights));
    return LS_OK;
}

/* A product may take another way later: described when it is asked. */
static void describe(cuda_plan *plan) {
    const linear *self = linear_of(plan);
    snprintf(plan->description, sizeof plan->description, "cuBLASLt %.72s / %.72s / %.72s",
             product_describe(self->forward),
             self->backward_data ? product_describe(self->backward_data) : "-",
             product_describe(self->backward_weights));
}

static int prepare(cuda_plan *plan, ls_error *error) {
    const linear_shape *shape = &plan->shape.linear;
    linear *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    plan->detail = self;
    plan->release_detail = release;
    plan->describe = describe;
    LS_TRY(prepare_forward(plan, error));
    if (shape->need_dx)
        LS_TRY(prepare_backward_data(plan, error));
    LS_TRY(prepare_backward_weights(plan, error));
    if (shape->type != DTYPE_F32) {
        plan->packed_type = shape->type;
        plan->packed_bytes =
            (size_t)shape->out_features * (size_t)shape->in_features * dtype_bytes(shape->type);
    }
    return LS_OK;
}

int cuda_linear_prepare(device *self, const linear_shape *shape, const plan *like, plan **out,
                        ls_error *error) {
    (void)like; /* the packed copy is the canonical array rounded, whatever n */
    cuda_plan *made;
    LS_TRY(cuda_plan_create(self, CUDA_LINEAR, &made, error));
    made->shape.linear = *shape;
    int status = prepare(made, error);
    if (status != LS_OK)
        cuda_plan_release(self, (plan *)made);
    else
        *out = (plan *)made;
    return status;
}

static const void *factor(const cuda_plan *plan, const float *weights, const void *packed) {
    return plan->packed_bytes ? packed : weights;
}

int cuda_linear_forward(plan *plan, device_stream *stream, const void *x, const float *weights,
                        const void *packed, const float *bias, void *y, void *workspace,
                        ls_error *error) {
    cuda_plan *made = cuda_plan_of(plan);
    cuda_enter(&made->device->base);
    /* The bias is only read: sums would be written to the same argument. */
    return product_run(linear_of(made)->forward, stream, x, factor(made, weights, packed), y,
                       (float *)bias, workspace, error);
}

int cuda_linear_backward_data(plan *plan, device_stream *stream, const void *dy,
                              const float *weights, const void *packed, void *dx, void *workspace,
                              ls_error *error) {
    cuda_plan *made = cuda_plan_of(plan);
    cuda_enter(&made->device->base);
    return product_run(linear_of(made)->backward_data, stream, dy, factor(made, weights, packed),
                       dx, NULL, workspace, error);
}

int cuda_linear_backward_weights(plan *plan, device_stream *stream, const void *x, const void *dy,
                                 float *dweights, float *dbias, void *workspace, ls_error *error) {
    cuda_plan *made = cuda_plan_of(plan);
    cuda_enter(&made->device->base);
    return product_run(linear_of(made)->backward_weights, stream, dy, x, dweights, dbias, workspace,
                       error);
}
