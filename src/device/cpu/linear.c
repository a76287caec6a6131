/* Linear layers by oneDNN's inner product. In fp32 on the canonical weights as they are: at the
 * CNN's fc1 (64 x 8192 x 512) the plain layout loses 0.8 ms in forward against blocked weights
 * and wins more than that back by not having a copy to refresh each step. In bf16 there is a copy
 * anyway, so it is blocked as oneDNN wants it, which forward and backward agree on. */
#include "device/cpu/cpu.h"

#include <stdio.h>

typedef struct linear_descs {
    onednn_desc x, y, bias, weights, gradient, canonical;
} linear_descs;

static linear_descs describe(const linear_shape *shape) {
    int out = shape->out_features, in = shape->in_features;
    return (linear_descs){.x = onednn_matrix(shape->type, shape->n, in),
                          .y = onednn_matrix(shape->type, shape->n, out),
                          .bias = onednn_vector(out),
                          .weights = shape->type == DTYPE_F32
                                         ? onednn_matrix(DTYPE_F32, out, in)
                                         : onednn_matrix_any(shape->type, out, in),
                          .canonical = onednn_matrix(DTYPE_F32, out, in)};
}

/* The packed copies, where weights are not used as they are. */
static int prepare_packing(cpu_plan *self, const linear_descs *descs, ls_error *error) {
    if (self->shape.linear.type == DTYPE_F32)
        return LS_OK;
    self->packed_forward = onednn_call_desc(&self->forward, DNNL_ARG_WEIGHTS);
    LS_TRY(cpu_plan_pack_forward(self, &descs->canonical, error));
    if (!self->shape.linear.need_dx)
        return LS_OK;
    self->packed_backward = onednn_call_desc(&self->backward_data, DNNL_ARG_WEIGHTS);
    return cpu_plan_pack_backward(self, &descs->canonical, error);
}

static int prepare_calls(cpu_plan *self, const linear_descs *descs, const cpu_plan *like,
                         ls_error *error) {
    onednn *engine = &self->device->engine;
    const linear_shape *shape = &self->shape.linear;
    bool blocked = like && shape->type != DTYPE_F32;
    LS_TRY(onednn_linear_forward(engine, &descs->x,
                                 blocked ? &like->packed_forward : &descs->weights, &descs->bias,
                                 &descs->y, shape->relu, &self->forward, error));
    if (shape->need_dx)
        LS_TRY(onednn_linear_backward_data(engine, &descs->x,
                                           blocked ? &like->packed_backward : &descs->weights,
                                           &descs->y, &self->forward, &self->backward_data, error));
    return onednn_linear_backward_weights(engine, &descs->x, &descs->canonical, &descs->bias,
                                          &descs->y, &self->forward, &self->backward_weights,
                                          error);
}

int cpu_linear_prepare(device *self, const linear_shape *shape, const plan *like, plan **out,
                       ls_error *error) {
    cpu_plan *made;
    LS_TRY(cpu_plan_create(self, CPU_LINEAR, shape->type, &made, error));
    made->shape.linear = *shape;
    linear_descs descs = describe(shape);
    int status = prepare_calls(made, &descs, (const cpu_plan *)like, error);
    if (status == LS_OK)
        status = prepare_packing(made, &descs, error);
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
    *out = (plan *)made;
    return LS_OK;
}

int cpu_linear_forward(plan *plan, device_stream *stream, const void *x, const float *weights,
                       const void *packed, const float *bias, void *y, void *workspace,
                       ls_error *error) {
    (void)stream;
    cpu_plan *self = (cpu_plan *)plan;
    onednn_argument arguments[] = {{DNNL_ARG_SRC, x},
                                   {DNNL_ARG_WEIGHTS, self->packed_bytes ? packed : weights},
                                   {DNNL_ARG_BIAS, bias},
                                   {DNNL_ARG_DST, y}};
    return onednn_call_run(&self->forward, arguments, 4, workspace, error);
}

int cpu_linear_backward_data(plan *plan, device_stream *stream, const void *dy,
                             const float *weights, const void *packed, void *dx, void *workspace,
                             ls_error *error) {
    (void)stream;
    cpu_plan *self = (cpu_plan *)plan;
    const void *blocked = (const char *)packed + self->packed_backward_offset;
    onednn_argument arguments[] = {{DNNL_ARG_DIFF_DST, dy},
                                   {DNNL_ARG_WEIGHTS, self->packed_bytes ? blocked : weights},
                                   {DNNL_ARG_DIFF_SRC, dx}};
    return onednn_call_run(&self->backward_data, arguments, 3, workspace, error);
}

int cpu_linear_backward_weights(plan *plan, device_stream *stream, const void *x, const void *dy,
                                float *dweights, float *dbias, void *workspace, ls_error *error) {
    (void)stream;
    cpu_plan *self = (cpu_plan *)plan;
    onednn_argument arguments[] = {{DNNL_ARG_SRC, x},
                                   {DNNL_ARG_DIFF_DST, dy},
                                   {DNNL_ARG_DIFF_WEIGHTS, dweights},
                                   {DNNL_ARG_DIFF_BIAS, dbias}};
    return onednn_call_run(&self->backward_weights, arguments, 4, workspace, error);
}
