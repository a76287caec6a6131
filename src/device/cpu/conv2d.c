/* Convolutions by oneDNN. Weights are blocked as oneDNN wants them, in the activations' type, one
 * copy a direction where the directions differ, made from the canonical masters by
 * cpu_pack_weights (called in the optimizer's pass). */
#include "device/cpu/cpu.h"

#include <stdio.h>
#include <string.h>

typedef struct conv_descs {
    onednn_desc x, y, bias, weights_any, gradient_any, canonical;
    onednn_window window;
} conv_descs;

static conv_descs describe(const conv2d_shape *shape) {
    int out_height = (shape->height + 2 * shape->padding - shape->kernel) / shape->stride + 1;
    int out_width = (shape->width + 2 * shape->padding - shape->kernel) / shape->stride + 1;
    return (conv_descs){.x = onednn_activation(shape->type, shape->in_layout, shape->n,
                                               shape->height, shape->width, shape->in_channels),
                        .y = onednn_activation(shape->type, shape->out_layout, shape->n, out_height,
                                               out_width, shape->out_channels),
                        .bias = onednn_vector(shape->out_channels),
                        .weights_any = onednn_filter_any(shape->type, shape->out_channels,
                                                         shape->in_channels, shape->kernel),
                        .gradient_any = onednn_filter_any(DTYPE_F32, shape->out_channels,
                                                          shape->in_channels, shape->kernel),
                        .canonical = onednn_filter_canonical(shape->out_channels,
                                                             shape->in_channels, shape->kernel),
                        .window = {shape->stride, shape->padding}};
}

static void forget(const conv_descs *descs) {
    onednn_desc made[] = {
        descs->x, descs->y, descs->bias, descs->weights_any, descs->gradient_any, descs->canonical};
    for (size_t index = 0; index < sizeof made / sizeof made[0]; index++)
        onednn_desc_release(made[index]);
}

static int prepare_forward(cpu_plan *self, const conv_descs *descs, const cpu_plan *like,
                           ls_error *error) {
    onednn *engine = &self->device->engine;
    onednn_desc weights = like ? like->packed_forward : descs->weights_any;
    LS_TRY(onednn_convolution_forward(engine, descs->x, weights, descs->bias, descs->y,
                                      descs->window, self->shape.conv2d.relu, &self->forward,
                                      error));
    self->packed_forward = onednn_call_desc(&self->forward, DNNL_ARG_WEIGHTS);
    return cpu_plan_pack_forward(self, descs->canonical, error);
}

static int prepare_backward_data(cpu_plan *self, const conv_descs *descs, const cpu_plan *like,
                                 ls_error *error) {
    onednn *engine = &self->device->engine;
    onednn_desc weights = like ? like->packed_backward : descs->weights_any;
    LS_TRY(onednn_convolution_backward_data(engine, descs->x, weights, descs->y, descs->window,
                                            &self->forward, &self->backward_data, error));
    self->packed_backward = onednn_call_desc(&self->backward_data, DNNL_ARG_WEIGHTS);
    return cpu_plan_pack_backward(self, descs->canonical, error);
}

static int prepare_backward_weights(cpu_plan *self, const conv_descs *descs, ls_error *error) {
    onednn *engine = &self->device->engine;
    LS_TRY(onednn_convolution_backward_weights(engine, descs->x, descs->gradient_any, descs->bias,
                                               descs->y, descs->window, &self->forward,
                                               &self->backward_weights, error));
    onednn_desc blocked = onednn_call_desc(&self->backward_weights, DNNL_ARG_DIFF_WEIGHTS);
    self->gradient_offset = cpu_align64(self->backward_weights.scratchpad_bytes);
    cpu_plan_need_workspace(self, self->gradient_offset + onednn_desc_bytes(blocked));
    return onednn_reorder(engine, blocked, descs->canonical, &self->unpack_gradient, error);
}

int cpu_conv2d_prepare(device *self, const conv2d_shape *shape, const plan *like, plan **out,
                       ls_error *error) {
    const cpu_plan *sibling = (const cpu_plan *)like;
    cpu_plan *made;
    LS_TRY(cpu_plan_create(self, CPU_CONV2D, shape->type, &made, error));
    made->shape.conv2d = *shape;
    conv_descs descs = describe(shape);
    int status = prepare_forward(made, &descs, sibling, error);
    if (status == LS_OK && shape->need_dx)
        status = prepare_backward_data(made, &descs, sibling, error);
    if (status == LS_OK)
        status = prepare_backward_weights(made, &descs, error);
    forget(&descs);
    if (status != LS_OK) {
        cpu_plan_release(self, (plan *)made);
        return status;
    }
    if (made->unpack_gradient.scratchpad_bytes) {
        cpu_plan_release(self, (plan *)made);
        return ls_fail(error, LS_FAILED, "oneDNN wants scratch memory for a reorder of gradients");
    }
    cpu_plan_need_workspace(made, made->forward.scratchpad_bytes);
    cpu_plan_need_workspace(made, made->backward_data.scratchpad_bytes);
    snprintf(made->description, sizeof made->description, "%.60s / %.60s / %.60s",
             made->forward.implementation,
             shape->need_dx ? made->backward_data.implementation : "-",
             made->backward_weights.implementation);
    *out = (plan *)made;
    return LS_OK;
}

int cpu_conv2d_forward(plan *plan, device_stream *stream, const void *x, const float *weights,
                       const void *packed, const float *bias, void *y, void *workspace,
                       ls_error *error) {
    (void)stream, (void)weights;
    cpu_plan *self = (cpu_plan *)plan;
    onednn_argument arguments[] = {
        {DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, packed}, {DNNL_ARG_BIAS, bias}, {DNNL_ARG_DST, y}};
    return onednn_call_run(&self->forward, arguments, 4, workspace, error);
}

int cpu_conv2d_backward_data(plan *plan, device_stream *stream, const void *dy,
                             const float *weights, const void *packed, void *dx, void *workspace,
                             ls_error *error) {
    (void)stream, (void)weights;
    cpu_plan *self = (cpu_plan *)plan;
    onednn_argument arguments[] = {
        {DNNL_ARG_DIFF_DST, dy},
        {DNNL_ARG_WEIGHTS, (const char *)packed + self->packed_backward_offset},
        {DNNL_ARG_DIFF_SRC, dx}};
    return onednn_call_run(&self->backward_data, arguments, 3, workspace, error);
}

int cpu_conv2d_backward_weights(plan *plan, device_stream *stream, const void *x, const void *dy,
                                float *dweights, float *dbias, void *workspace, ls_error *error) {
    (void)stream;
    cpu_plan *self = (cpu_plan *)plan;
    void *blocked = (char *)workspace + self->gradient_offset;
    onednn_argument arguments[] = {{DNNL_ARG_SRC, x},
                                   {DNNL_ARG_DIFF_DST, dy},
                                   {DNNL_ARG_DIFF_WEIGHTS, blocked},
                                   {DNNL_ARG_DIFF_BIAS, dbias}};
    LS_TRY(onednn_call_run(&self->backward_weights, arguments, 4, workspace, error));
    onednn_argument unpack[] = {{DNNL_ARG_FROM, blocked}, {DNNL_ARG_TO, dweights}};
    return onednn_call_run(&self->unpack_gradient, unpack, 2, NULL, error);
}
