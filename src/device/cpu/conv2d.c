/* Convolutions by our own Winograd (winograd.h), else by oneDNN. Weights are blocked as oneDNN
 * wants them, in the activations' type, one copy a direction where the directions differ, made from
 * the canonical masters by `pack` (called in the optimizer's pass). */
#include "device/cpu/conv2d_parts.h"
#include "device/cpu/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct conv_plan {
    plan base;
    conv2d_shape shape;
    onednn_call forward, backward_data;
    conv2d_weights backward_weights;
    /* oneDNN's own blocked weights, one copy for each direction, and its blocked gradient, which
     * goes to the canonical array right after it was made (there is no fast implementation that
     * writes canonical gradients: oneDNN 2.6 falls back to its reference). */
    onednn_desc packed_forward, packed_backward; /* forward's and backward_data's */
    size_t packed_backward_offset;               /* of the second copy in the packed memory */
    onednn_call pack_forward, pack_backward;
    bool by_winograd; /* all of it by winograd.h */
    winograd winograd;
} conv_plan;

static onednn *engine_of(const conv_plan *self) {
    return &((cpu_device *)self->base.device)->engine;
}

static size_t align64(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}

/* Adds a copy of the weights to the packed memory, and the call that fills it. */
static int add_copy(conv_plan *self, onednn_desc canonical, onednn_desc packed, onednn_call *out,
                    ls_error *error) {
    self->base.packed[0].bytes += align64(onednn_desc_bytes(packed));
    LS_TRY(onednn_reorder(engine_of(self), canonical, packed, out, error));
    if (out->scratchpad_bytes)
        return ls_fail(error, LS_FAILED, "oneDNN wants scratch memory for a reorder of weights");
    return LS_OK;
}

static int prepare_forward(conv_plan *self, const conv2d_descs *descs, const conv_plan *like,
                           ls_error *error) {
    onednn *engine = engine_of(self);
    onednn_desc weights = like ? like->packed_forward : descs->weights_any;
    LS_TRY(onednn_convolution_forward(engine, descs->x, weights, descs->bias, descs->y,
                                      descs->window, self->shape.activation == ACTIVATION_RELU,
                                      &self->forward, error));
    self->packed_forward = onednn_call_desc(&self->forward, DNNL_ARG_WEIGHTS);
    return add_copy(self, descs->canonical, self->packed_forward, &self->pack_forward, error);
}

static int prepare_backward_data(conv_plan *self, const conv2d_descs *descs, const conv_plan *like,
                                 ls_error *error) {
    onednn *engine = engine_of(self);
    onednn_desc weights = like ? like->packed_backward : descs->weights_any;
    LS_TRY(onednn_convolution_backward_data(engine, descs->x, weights, descs->y, descs->window,
                                            &self->forward, &self->backward_data, error));
    self->packed_backward = onednn_call_desc(&self->backward_data, DNNL_ARG_WEIGHTS);
    if (onednn_desc_equal(self->packed_backward, self->packed_forward))
        return LS_OK; /* one copy serves both */
    self->packed_backward_offset = self->base.packed[0].bytes;
    return add_copy(self, descs->canonical, self->packed_backward, &self->pack_backward, error);
}

static int prepare_by_library(conv_plan *made, onednn_algorithm algorithm, const conv_plan *like,
                              ls_error *error) {
    const conv2d_shape *shape = &made->shape;
    conv2d_descs descs = cpu_conv2d_describe(shape, algorithm);
    int status = descs.bias || shape->no_bias
                     ? prepare_forward(made, &descs, like, error)
                     : ls_fail(error, LS_FAILED, "oneDNN: it refused to describe a bias");
    if (status == LS_OK && shape->need_dx)
        status = prepare_backward_data(made, &descs, like, error);
    if (status == LS_OK)
        status = cpu_conv2d_weights_prepare(engine_of(made), shape, &descs, &made->forward,
                                            &made->backward_weights, error);
    cpu_conv2d_forget(&descs);
    if (status != LS_OK)
        return status;
    plan_need_workspace(&made->base, made->forward.scratchpad_bytes);
    plan_need_workspace(&made->base, made->backward_data.scratchpad_bytes);
    plan_need_workspace(&made->base, made->backward_weights.workspace_bytes);
    text_add(&made->base.description, "%s / %s / %s", made->forward.implementation,
             shape->need_dx ? made->backward_data.implementation : "-",
             made->backward_weights.calls[0].implementation);
    return LS_OK;
}

static void prepare_by_winograd(conv_plan *made) {
    const winograd *winograd = &made->winograd;
    bool need_dx = made->shape.need_dx;
    made->by_winograd = true;
    made->base.packed[0].bytes = align64(cpu_winograd_packed_bytes(&winograd->forward));
    made->packed_backward_offset = made->base.packed[0].bytes;
    if (need_dx)
        made->base.packed[0].bytes += align64(cpu_winograd_packed_bytes(&winograd->backward));
    plan_need_workspace(&made->base, cpu_winograd_workspace_bytes(winograd));
    text_add(&made->base.description, "%s / %s / %s", winograd->forward.kernels->name,
             need_dx ? winograd->backward.kernels->name : "-", winograd->forward.kernels->name);
}

static int prepare_by(conv_plan *made, cpu_conv2d_algorithm algorithm, const conv_plan *like,
                      ls_error *error) {
    static const onednn_algorithm algorithms[] = {[CPU_CONV2D_FASTEST] = ONEDNN_BEST,
                                                  [CPU_CONV2D_LIBRARY] = ONEDNN_BEST,
                                                  [CPU_CONV2D_LIBRARY_DIRECT] = ONEDNN_DIRECT,
                                                  [CPU_CONV2D_LIBRARY_WINOGRAD] = ONEDNN_WINOGRAD};
    const conv2d_shape *shape = &made->shape;
    bool own = algorithm == CPU_CONV2D_FASTEST || algorithm == CPU_CONV2D_OWN_WINOGRAD;
    if (own &&
        cpu_winograd_choose(shape, ((cpu_device *)made->base.device)->threads, &made->winograd)) {
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

static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    conv_plan *self = (conv_plan *)base;
    self->shape = *(const conv2d_shape *)wanted;
    LS_TRY(cpu_check_type("conv2d", self->shape.type, error));
    LS_TRY(plan_refuse_activation(base, self->shape.activation, error));
    return prepare_by(self, ((cpu_device *)base->device)->convolutions, (const conv_plan *)like,
                      error);
}

static void release(plan *base) {
    conv_plan *self = (conv_plan *)base;
    onednn_call *calls[] = {&self->forward, &self->backward_data, &self->pack_forward,
                            &self->pack_backward};
    cpu_conv2d_weights_release(&self->backward_weights);
    for (size_t index = 0; index < sizeof calls / sizeof calls[0]; index++)
        onednn_call_release(calls[index]);
}

/* Forward and backward-data have a copy each where they do not agree on the order. */
static int pack(plan *base, device_stream *stream, int parameter, const float *weights,
                void *packed, ls_error *error) {
    (void)stream, (void)parameter;
    conv_plan *self = (conv_plan *)base;
    void *turned = (char *)packed + self->packed_backward_offset;
    if (self->by_winograd) {
        cpu_winograd_pack_forward(&self->winograd, weights, packed);
        if (self->shape.need_dx)
            cpu_winograd_pack_backward(&self->winograd, weights, turned);
        return LS_OK;
    }
    onednn_argument arguments[] = {{DNNL_ARG_FROM, weights}, {DNNL_ARG_TO, packed}};
    LS_TRY(onednn_call_run(&self->pack_forward, arguments, 2, NULL, error));
    if (!self->pack_backward.primitive)
        return LS_OK;
    arguments[1].memory = turned;
    return onednn_call_run(&self->pack_backward, arguments, 2, NULL, error);
}

static int forward(plan *base, const op_arguments *a, ls_error *error) {
    conv_plan *self = (conv_plan *)base;
    if (self->by_winograd) {
        cpu_winograd_run(&self->winograd, &self->winograd.forward, a->x[0], a->packed[0],
                         a->parameters[1], a->y, a->workspace);
        return LS_OK;
    }
    onednn_argument arguments[] = {{DNNL_ARG_SRC, a->x[0]},
                                   {DNNL_ARG_WEIGHTS, a->packed[0]},
                                   {DNNL_ARG_BIAS, a->parameters[1]},
                                   {DNNL_ARG_DST, a->y}};
    return onednn_call_run(&self->forward, arguments, 4, a->workspace, error);
}

static int backward_inputs(plan *base, const op_arguments *a, ls_error *error) {
    conv_plan *self = (conv_plan *)base;
    const char *turned = (const char *)a->packed[0] + self->packed_backward_offset;
    if (self->by_winograd) {
        cpu_winograd_run(&self->winograd, &self->winograd.backward, a->dy, (const float *)turned,
                         NULL, a->dx[0], a->workspace);
        return LS_OK;
    }
    onednn_argument arguments[] = {
        {DNNL_ARG_DIFF_DST, a->dy}, {DNNL_ARG_WEIGHTS, turned}, {DNNL_ARG_DIFF_SRC, a->dx[0]}};
    return onednn_call_run(&self->backward_data, arguments, 3, a->workspace, error);
}

static int backward_parameters(plan *base, const op_arguments *a, ls_error *error) {
    conv_plan *self = (conv_plan *)base;
    if (self->by_winograd) {
        cpu_winograd_backward_weights(&self->winograd, a->x[0], a->dy, a->gradients[0],
                                      a->gradients[1], a->workspace);
        return LS_OK;
    }
    return cpu_conv2d_weights_run(&self->backward_weights, a->x[0], a->dy, a->gradients[0],
                                  a->gradients[1], a->workspace, error);
}

const op cpu_conv2d = {
    .kind = &op_conv2d,
    .plan_bytes = sizeof(conv_plan),
    .prepare = prepare,
    .release = release,
    .pack = pack,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
