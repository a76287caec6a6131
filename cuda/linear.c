/* y = x * weights^T + bias and its gradients: three products. Factors have the type of the
 * activations (weights: their packed copy where that is not fp32), gradients of parameters are
 * fp32. cuBLASLt wants a bias of the result's type: of the fp32 one a rounded copy is made in the
 * workspace, out_features elements a call. The bias's gradient is the column sums of dy: the
 * product's epilogue adds them up on its way where cuBLASLt can, else a kernel of ours does. */
#include "linear.h"
#include "kernels.h"
#include "product.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct linear {
    product *forward, *backward_data, *backward_weights;
    bool fused_sums;           /* backward_weights also writes dbias */
    size_t rounded_bias_bytes; /* of forward's workspace, before the product's; 0: none */
} linear;

enum { WORKSPACE_ALIGNMENT = 256 };

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
    if (shape->type != DTYPE_F32) {
        size_t bytes = (size_t)shape->out_features * dtype_bytes(shape->type);
        self->rounded_bias_bytes =
            (bytes + WORKSPACE_ALIGNMENT - 1) / WORKSPACE_ALIGNMENT * WORKSPACE_ALIGNMENT;
    }
    LS_TRY(product_create(plan->device, &wanted, &self->forward, error));
    need_workspace(plan, self->rounded_bias_bytes + product_workspace_bytes(self->forward));
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
    self->fused_sums = self->backward_weights != NULL;
    if (!self->fused_sums) {
        wanted.epilogue = PRODUCT_PLAIN;
        LS_TRY(product_create(plan->device, &wanted, &self->backward_weights, error));
        need_workspace(plan,
                       kernel_column_sums_workspace(plan->device->multiprocessors, shape->type,
                                                    (size_t)shape->n, shape->out_features));
    }
    need_workspace(plan, product_workspace_bytes(self->backward_weights));
    return LS_OK;
}

static int prepare(cuda_plan *plan, ls_error *error) {
    const linear_shape *shape = &plan->shape.linear;
    linear *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    plan->detail = self;
    plan->release_detail = release;
    LS_TRY(prepare_forward(plan, error));
    if (shape->need_dx)
        LS_TRY(prepare_backward_data(plan, error));
    LS_TRY(prepare_backward_weights(plan, error));
    if (shape->type != DTYPE_F32) {
        plan->packed_type = shape->type;
        plan->packed_bytes =
            (size_t)shape->out_features * (size_t)shape->in_features * dtype_bytes(shape->type);
    }
    snprintf(plan->description, sizeof plan->description, "cuBLASLt %.60s / %.60s / %.60s%s",
             product_describe(self->forward),
             shape->need_dx ? product_describe(self->backward_data) : "-",
             product_describe(self->backward_weights), self->fused_sums ? " with bias" : "");
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
    const linear_shape *shape = &made->shape.linear;
    linear *self = linear_of(made);
    cuda_enter(&made->device->base);
    void *vector = (void *)bias; /* read only, but for cuBLASLt's one attribute for both uses */
    if (self->rounded_bias_bytes) {
        vector = workspace;
        CUDA_TRY(kernel_cast(cuda_stream(stream), (size_t)shape->out_features, DTYPE_F32, bias,
                             shape->type, vector),
                 "rounding a bias");
    }
    return product_run(self->forward, stream, x, factor(made, weights, packed), y, vector,
                       (char *)workspace + self->rounded_bias_bytes, error);
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
    const linear_shape *shape = &made->shape.linear;
    linear *self = linear_of(made);
    cuda_enter(&made->device->base);
    if (!self->fused_sums)
        CUDA_TRY(kernel_column_sums(cuda_stream(stream), made->device->multiprocessors, shape->type,
                                    dy, (size_t)shape->n, shape->out_features, dbias, workspace),
                 "adding up the gradient of a bias");
    return product_run(self->backward_weights, stream, dy, x, dweights,
                       self->fused_sums ? dbias : NULL, workspace, error);
}
