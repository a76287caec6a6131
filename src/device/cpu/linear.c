/* Linear layers: by products of our own where these serve (product.h) and the CPU has no tiles
 * (AMX), which only oneDNN uses; else forward by oneDNN's inner product and backward by its matrix
 * product, which has kernels for plain matrices where the inner product's backward has none. In
 * fp32 on the canonical weights as they are; in bf16 on a copy that is these, rounded. Blocked
 * weights would win at the CNN's fc1 (64 x 8192 x 512) in bf16 0.5 ms in forward and backward, and
 * cost more than that to refresh each step: the optimizer's pass goes through memory in order, and
 * blocks do not. */
#include "device/cpu/cpu.h"
#include "device/cpu/product.h"

#include <stdio.h>

typedef struct linear_descs {
    onednn_desc x, y, y_transposed, bias, weights, gradient;
} linear_descs;

static linear_descs describe(const linear_shape *shape) {
    int out = shape->out_features, in = shape->in_features;
    return (linear_descs){.x = onednn_matrix(shape->type, shape->n, in),
                          .y = onednn_matrix(shape->type, shape->n, out),
                          .y_transposed = onednn_matrix_transposed(shape->type, out, shape->n),
                          .bias = onednn_vector(out),
                          .weights = onednn_matrix(shape->type, out, in),
                          .gradient = onednn_matrix(DTYPE_F32, out, in)};
}

static void forget(const linear_descs *descs) {
    onednn_desc made[] = {descs->x,    descs->y,       descs->y_transposed,
                          descs->bias, descs->weights, descs->gradient};
    for (size_t index = 0; index < sizeof made / sizeof made[0]; index++)
        onednn_desc_release(made[index]);
}

/* Whether a product with sums of this length may be used. oneDNN 2.6's AMX matrix product dies of
 * SIGILL on two threads or more where the length of its sums leaves a tail of 31 (63, 95) and its
 * rows a tail too: it runs another tile shape than the thread set up. Sums of whole tiles were
 * tried with every tail of the other sizes. */
static bool onednn_product_serves(dtype type, int length) {
    enum { TILE = 32 };
    return type == DTYPE_F32 || length % TILE == 0;
}

/* dx = dy * weights. */
static int prepare_backward_data(cpu_plan *self, const linear_descs *descs, ls_error *error) {
    onednn *engine = &self->device->engine;
    const linear_shape *shape = &self->shape.linear;
    if (!shape->need_dx)
        return LS_OK;
    self->data_by_product = onednn_product_serves(shape->type, shape->out_features);
    if (self->data_by_product)
        return onednn_product(engine, descs->y, descs->weights, descs->x, &self->backward_data,
                              error);
    return onednn_linear_backward_data(engine, descs->x, descs->weights, descs->y, &self->forward,
                                       &self->backward_data, error);
}

/* dweights = transposed dy * x. */
static int prepare_backward_weights(cpu_plan *self, const linear_descs *descs, ls_error *error) {
    onednn *engine = &self->device->engine;
    const linear_shape *shape = &self->shape.linear;
    self->weights_by_product = onednn_product_serves(shape->type, shape->n);
    if (!self->weights_by_product)
        return onednn_linear_backward_weights(engine, descs->x, descs->gradient, descs->bias,
                                              descs->y, &self->forward, &self->backward_weights,
                                              error);
    return onednn_product(engine, descs->y_transposed, descs->x, descs->gradient,
                          &self->backward_weights, error);
}

static int prepare_calls(cpu_plan *self, const linear_descs *descs, ls_error *error) {
    LS_TRY(onednn_linear_forward(&self->device->engine, descs->x, descs->weights, descs->bias,
                                 descs->y, self->shape.linear.relu, &self->forward, error));
    LS_TRY(prepare_backward_data(self, descs, error));
    return prepare_backward_weights(self, descs, error);
}

static void describe_product(cpu_plan *self) {
    const char *name =
        self->shape.linear.need_dx ? "product / product / product" : "product / - / product";
    cpu_plan_need_workspace(
        self, cpu_product_workspace_bytes(&self->shape.linear, self->device->threads));
    snprintf(self->description, sizeof self->description, "%s", name);
}

int cpu_linear_prepare(device *self, const linear_shape *shape, const plan *like, plan **out,
                       ls_error *error) {
    (void)like; /* weights lie the same way for every n */
    cpu_plan *made;
    LS_TRY(cpu_plan_create(self, CPU_LINEAR, shape->type, &made, error));
    made->shape.linear = *shape;
    made->packed_in_order = shape->type == DTYPE_BF16;
    made->by_product = cpu_product_serves(shape) && !(made->packed_in_order && onednn_has_tiles());
    *out = (plan *)made;
    if (made->packed_in_order)
        made->packed_bytes =
            (size_t)shape->out_features * (size_t)shape->in_features * sizeof(uint16_t);
    if (made->by_product) {
        describe_product(made);
        return LS_OK;
    }
    linear_descs descs = describe(shape);
    int status = prepare_calls(made, &descs, error);
    forget(&descs);
    if (status != LS_OK) {
        cpu_plan_release(self, (plan *)made);
        return status;
    }
    cpu_plan_need_workspace(made, made->forward.scratchpad_bytes);
    cpu_plan_need_workspace(made, made->backward_data.scratchpad_bytes);
    cpu_plan_need_workspace(made, made->backward_weights.scratchpad_bytes);
    snprintf(made->description, sizeof made->description, "%.60s / %.60s / %.60s",
             made->forward.implementation,
             shape->need_dx ? made->backward_data.implementation : "-",
             made->backward_weights.implementation);
    return LS_OK;
}

int cpu_linear_forward(plan *plan, device_stream *stream, const void *x, const float *weights,
                       const void *packed, const float *bias, void *y, void *workspace,
                       ls_error *error) {
    (void)stream;
    cpu_plan *self = (cpu_plan *)plan;
    if (self->by_product) {
        cpu_product_forward(&self->shape.linear, x, self->packed_in_order ? packed : weights, bias,
                            y, workspace);
        return LS_OK;
    }
    onednn_argument arguments[] = {{DNNL_ARG_SRC, x},
                                   {DNNL_ARG_WEIGHTS, self->packed_in_order ? packed : weights},
                                   {DNNL_ARG_BIAS, bias},
                                   {DNNL_ARG_DST, y}};
    return onednn_call_run(&self->forward, arguments, 4, workspace, error);
}

int cpu_linear_backward_data(plan *plan, device_stream *stream, const void *dy,
                             const float *weights, const void *packed, void *dx, void *workspace,
                             ls_error *error) {
    (void)stream;
    cpu_plan *self = (cpu_plan *)plan;
    if (self->by_product) {
        cpu_product_backward_data(&self->shape.linear, dy, self->packed_in_order ? packed : weights,
                                  dx, workspace);
        return LS_OK;
    }
    bool product = self->data_by_product;
    onednn_argument arguments[] = {{product ? DNNL_ARG_SRC : DNNL_ARG_DIFF_DST, dy},
                                   {DNNL_ARG_WEIGHTS, self->packed_in_order ? packed : weights},
                                   {product ? DNNL_ARG_DST : DNNL_ARG_DIFF_SRC, dx}};
    return onednn_call_run(&self->backward_data, arguments, 3, workspace, error);
}

int cpu_linear_backward_weights(plan *plan, device_stream *stream, const void *x, const void *dy,
                                float *dweights, float *dbias, void *workspace, ls_error *error) {
    (void)stream;
    cpu_plan *self = (cpu_plan *)plan;
    size_t rows = (size_t)self->shape.linear.n, out = (size_t)self->shape.linear.out_features;
    if (self->by_product || self->weights_by_product) {
        cpu_sum_rows(self->shape.linear.type, dy, dbias, rows, out);
    }
    if (self->by_product) {
        cpu_product_backward_weights(&self->shape.linear, x, dy, dweights, workspace);
        return LS_OK;
    }
    if (self->weights_by_product) {
        onednn_argument product[] = {
            {DNNL_ARG_SRC, dy}, {DNNL_ARG_WEIGHTS, x}, {DNNL_ARG_DST, dweights}};
        return onednn_call_run(&self->backward_weights, product, 3, workspace, error);
    }
    onednn_argument arguments[] = {{DNNL_ARG_SRC, x},
                                   {DNNL_ARG_DIFF_DST, dy},
                                   {DNNL_ARG_DIFF_WEIGHTS, dweights},
                                   {DNNL_ARG_DIFF_BIAS, dbias}};
    return onednn_call_run(&self->backward_weights, arguments, 4, workspace, error);
}
