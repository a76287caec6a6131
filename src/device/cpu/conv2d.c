/* Convolutions by oneDNN. Weights are blocked as oneDNN wants them, in the activations' type, one
 * copy a direction where the directions differ, made from the canonical masters by
 * cpu_pack_weights (called in the optimizer's pass). */
#include "device/cpu/cpu.h"

#include <stdio.h>
#include <stdlib.h>
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
                        .window = {.stride = shape->stride, .padding = shape->padding}};
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

static int prepare_by_library(cpu_plan *made, onednn_algorithm algorithm, const cpu_plan *like,
                              ls_error *error) {
    const conv2d_shape *shape = &made->shape.conv2d;
    conv_descs descs = describe(shape);
    descs.window.algorithm = algorithm;
    int status = prepare_forward(made, &descs, like, error);
    if (status == LS_OK && shape->need_dx)
        status = prepare_backward_data(made, &descs, like, error);
    if (status == LS_OK)
        status = prepare_backward_weights(made, &descs, error);
    forget(&descs);
    if (status != LS_OK)
        return status;
    if (made->unpack_gradient.scratchpad_bytes)
        return ls_fail(error, LS_FAILED, "oneDNN wants scratch memory for a reorder of gradients");
    cpu_plan_need_workspace(made, made->forward.scratchpad_bytes);
    cpu_plan_need_workspace(made, made->backward_data.scratchpad_bytes);
    snprintf(made->description, sizeof made->description, "%.60s / %.60s / %.60s",
             made->forward.implementation,
             shape->need_dx ? made->backward_data.implementation : "-",
             made->backward_weights.implementation);
    return LS_OK;
}

static void prepare_by_winograd(cpu_plan *made) {
    const winograd *winograd = &made->winograd;
    bool need_dx = made->shape.conv2d.need_dx;
    made->by_winograd = true;
    made->packed_bytes = cpu_align64(cpu_winograd_packed_bytes(&winograd->forward));
    made->packed_backward_offset = made->packed_bytes;
    if (need_dx)
        made->packed_bytes += cpu_align64(cpu_winograd_packed_bytes(&winograd->backward));
    cpu_plan_need_workspace(made, cpu_winograd_workspace_bytes(winograd));
    snprintf(made->description, sizeof made->description, "%s / %s / %s",
             winograd->forward.kernels->name, need_dx ? winograd->backward.kernels->name : "-",
             winograd->forward.kernels->name);
}

static int prepare(cpu_plan *made, cpu_conv2d_algorithm algorithm, const cpu_plan *like,
                   ls_error *error) {
    static const onednn_algorithm algorithms[] = {[CPU_CONV2D_FASTEST] = ONEDNN_BEST,
                                                  [CPU_CONV2D_LIBRARY] = ONEDNN_BEST,
                                                  [CPU_CONV2D_LIBRARY_DIRECT] = ONEDNN_DIRECT,
                                                  [CPU_CONV2D_LIBRARY_WINOGRAD] = ONEDNN_WINOGRAD};
    const conv2d_shape *shape = &made->shape.conv2d;
    bool own = algorithm == CPU_CONV2D_FASTEST || algorithm == CPU_CONV2D_OWN_WINOGRAD;
    if (own && cpu_winograd_choose(shape, made->device->threads, &made->winograd)) {
        prepare_by_winograd(made);
        return LS_OK;
    }
    if (algorithm == CPU_CONV2D_OWN_WINOGRAD)
        return ls_fail(error, LS_FAILED, "no Winograd convolution of our own for this shape");
    return prepare_by_library(made, algorithms[algorithm], like, error);
}

int cpu_conv2d_wanted(cpu_conv2d_algorithm *out, ls_error *error) {
    static const struct {
        const char *name;
        cpu_conv2d_algorithm algorithm;
    } wishes[] = {{"fastest", CPU_CONV2D_FASTEST},
                  {"library", CPU_CONV2D_LIBRARY},
                  {"direct", CPU_CONV2D_LIBRARY_DIRECT}};
    const char *wish = getenv("LOCKSTEP_CONVOLUTIONS");
    *out = CPU_CONV2D_FASTEST;
    if (!wish || !*wish)
        return LS_OK;
    for (size_t index = 0; index < sizeof wishes / sizeof wishes[0]; index++)
        if (strcmp(wish, wishes[index].name) == 0) {
            *out = wishes[index].algorithm;
            return LS_OK;
        }
    return ls_fail(error, LS_BAD_LAUNCH,
                   "LOCKSTEP_CONVOLUTIONS=%s: expected fastest, library or direct", wish);
}

int cpu_conv2d_prepare_by(device *self, cpu_conv2d_algorithm algorithm, const conv2d_shape *shape,
                          const plan *like, plan **out, ls_error *error) {
    cpu_plan *made;
    LS_TRY(cpu_plan_create(self, CPU_CONV2D, shape->type, &made, error));
    made->shape.conv2d = *shape;
    int status = prepare(made, algorithm, (const cpu_plan *)like, error);
    if (status == LS_OK)
        *out = (plan *)made;
    else
        cpu_plan_release(self, (plan *)made);
    return status;
}

int cpu_conv2d_prepare(device *self, const conv2d_shape *shape, const plan *like, plan **out,
                       ls_error *error) {
    return cpu_conv2d_prepare_by(self, ((cpu_device *)self)->convolutions, shape, like, out, error);
}

int cpu_conv2d_forward(plan *plan, device_stream *stream, const void *x, const float *weights,
                       const void *packed, const float *bias, void *y, void *workspace,
                       ls_error *error) {
    (void)stream, (void)weights;
    cpu_plan *self = (cpu_plan *)plan;
    if (self->by_winograd) {
        cpu_winograd_run(&self->winograd, &self->winograd.forward, x, packed, bias, y, workspace);
        return LS_OK;
    }
    onednn_argument arguments[] = {
        {DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, packed}, {DNNL_ARG_BIAS, bias}, {DNNL_ARG_DST, y}};
    return onednn_call_run(&self->forward, arguments, 4, workspace, error);
}

int cpu_conv2d_backward_data(plan *plan, device_stream *stream, const void *dy,
                             const float *weights, const void *packed, void *dx, void *workspace,
                             ls_error *error) {
    (void)stream, (void)weights;
    cpu_plan *self = (cpu_plan *)plan;
    const char *turned = (const char *)packed + self->packed_backward_offset;
    if (self->by_winograd) {
        cpu_winograd_run(&self->winograd, &self->winograd.backward, dy, (const float *)turned, NULL,
                         dx, workspace);
        return LS_OK;
    }
    onednn_argument arguments[] = {
        {DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_WEIGHTS, turned}, {DNNL_ARG_DIFF_SRC, dx}};
    return onednn_call_run(&self->backward_data, arguments, 3, workspace, error);
}

int cpu_conv2d_backward_weights(plan *plan, device_stream *stream, const void *x, const void *dy,
                                float *dweights, float *dbias, void *workspace, ls_error *error) {
    (void)stream;
    cpu_plan *self = (cpu_plan *)plan;
    if (self->by_winograd) {
        cpu_winograd_backward_weights(&self->winograd, x, dy, dweights, dbias, workspace);
        return LS_OK;
    }
    void *blocked = (char *)workspace + self->gradient_offset;
    onednn_argument arguments[] = {{DNNL_ARG_SRC, x},
                                   {DNNL_ARG_DIFF_DST, dy},
                                   {DNNL_ARG_DIFF_WEIGHTS, blocked},
                                   {DNNL_ARG_DIFF_BIAS, dbias}};
    LS_TRY(onednn_call_run(&self->backward_weights, arguments, 4, workspace, error));
    onednn_argument unpack[] = {{DNNL_ARG_FROM, blocked}, {DNNL_ARG_TO, dweights}};
    return onednn_call_run(&self->unpack_gradient, unpack, 2, NULL, error);
}
