/* Forward and backward: layer after layer, with the hooks of whoever walks. */
#include "model/network_parts.h"

static bool goes_as_factors(const graph_layer *layer, const network_hooks *hooks) {
    return layer->is->has_factors && hooks->takes_factors &&
           hooks->takes_factors(hooks->context, layer->unit);
}

/* A unit's parameters and gradient as the mode says for this use. */
static int unit_parameters(const network *self, const graph_layer *layer, bool backward,
                           const network_hooks *hooks, layer_parameters *out, ls_error *error) {
    *out = (layer_parameters){0};
    if (layer->unit < 0)
        return LS_OK;
    LS_TRY(hooks->parameters(hooks->context, layer->unit, &out->weights, error));
    out->bias = out->weights + layer->weight_count;
    out->packed = self->packed[layer - self->graph->layers];
    if (!backward)
        return LS_OK;
    LS_TRY(hooks->gradient(hooks->context, layer->unit, &out->dweights, error));
    out->dbias = out->dweights + layer->weight_count;
    return LS_OK;
}

static int between(const network_hooks *hooks, ls_error *error) {
    return hooks->between ? hooks->between(hooks->context, error) : LS_OK;
}

static int released(const graph_layer *layer, const network_hooks *hooks, ls_error *error) {
    if (layer->unit < 0 || !hooks->released)
        return LS_OK;
    return hooks->released(hooks->context, layer->unit, error);
}

static int backward_done(const graph_layer *layer, const network_hooks *hooks, ls_error *error) {
    if (layer->unit < 0 || !hooks->backward_done)
        return LS_OK;
    return hooks->backward_done(hooks->context, layer->unit, error);
}

static layer_run run_of(const network *self, const pass *pass, device_stream *stream) {
    return (layer_run){self->device, stream, pass->workspace_memory, self->type};
}

static void begin_range(const network *self, const network_hooks *hooks, const char *name) {
    if (!hooks->quiet)
        device_range_begin(self->device, name);
}

static void end_range(const network *self, const network_hooks *hooks) {
    if (!hooks->quiet)
        device_range_end(self->device);
}

int network_forward_layer(network *self, pass *pass, int index, device_stream *stream,
                          const network_hooks *hooks, ls_error *error) {
    const graph_layer *layer = &self->graph->layers[index];
    layer_run run = run_of(self, pass, stream);
    layer_parameters parameters;
    begin_range(self, hooks, layer->name);
    LS_TRY(unit_parameters(self, layer, false, hooks, &parameters, error));
    if (goes_as_factors(layer, hooks))
        LS_TRY(hooks->input_ready(hooks->context, layer->unit, pass->layers[index].x[0], error));
    if (pass->n > 0)
        LS_TRY(layer->is->forward(&run, &pass->layers[index], &parameters, error));
    LS_TRY(between(hooks, error));
    LS_TRY(released(layer, hooks, error));
    end_range(self, hooks);
    return LS_OK;
}

int network_forward(network *self, pass *pass, device_stream *stream, const network_hooks *hooks,
                    ls_error *error) {
    for (int index = 0; index < self->graph->layer_count; index++)
        LS_TRY(network_forward_layer(self, pass, index, stream, hooks, error));
    return LS_OK;
}

/* Adds what a reader wrote aside to the gradient of a tensor that was used more than once. */
static int add_extra(const network *self, const pass *pass, int index, const layer_run *run,
                     ls_error *error) {
    const graph_layer *layer = &self->graph->layers[index];
    for (int input = 0; input < layer->input_count; input++) {
        if (pass->extra_gradient[index][input] < 0)
            continue;
        int tensor = layer->inputs[input];
        size_t count = graph_tensor_elements(&self->graph->tensors[tensor]) * (size_t)pass->n;
        char *gradient = self->arena + pass->buffers[pass->gradient[tensor]].offset;
        LS_TRY(self->device->is->ops->add(self->device, run->stream, count, self->type,
                                          pass->layers[index].dx[input], gradient, error));
    }
    return LS_OK;
}

static int gradient_ready(int unit, const network_hooks *hooks, ls_error *error) {
    return hooks->gradient_ready ? hooks->gradient_ready(hooks->context, unit, error) : LS_OK;
}

static int backward_layer(network *self, pass *pass, int index, const layer_run *run,
                          const network_hooks *hooks, ls_error *error) {
    layer_pass *at = &pass->layers[index];
    const graph_layer *layer = at->layer;
    layer_parameters parameters;
    LS_TRY(unit_parameters(self, layer, true, hooks, &parameters, error));
    if (layer->relu && !at->dy_masked) {
        begin_range(self, hooks, "relu");
        LS_TRY(self->device->is->ops->relu_backward(self->device, run->stream, at->elements,
                                                    self->type, at->y, at->dy, error));
        end_range(self, hooks);
    }
    if (goes_as_factors(layer, hooks)) {
        LS_TRY(hooks->delta_ready(hooks->context, layer->unit, at->dy, error));
    } else if (layer->is->backward_weights) {
        begin_range(self, hooks, "backward_weights");
        LS_TRY(layer->is->backward_weights(run, at, &parameters, error));
        end_range(self, hooks);
        LS_TRY(gradient_ready(layer->unit, hooks, error));
        LS_TRY(between(hooks, error));
    }
    if (at->dx[0] || at->dx[1]) {
        begin_range(self, hooks, "backward_data");
        LS_TRY(layer->is->backward_data(run, at, &parameters, error));
        LS_TRY(add_extra(self, pass, index, run, error));
        end_range(self, hooks);
        LS_TRY(between(hooks, error));
    }
    LS_TRY(released(layer, hooks, error));
    return backward_done(layer, hooks, error);
}

static int empty_unit(network *self, int unit, device_stream *stream, const network_hooks *hooks,
                      ls_error *error) {
    const graph_layer *layer = &self->graph->layers[self->graph->unit_layers[unit]];
    layer_parameters parameters;
    if (goes_as_factors(layer, hooks))
        return hooks->delta_ready(hooks->context, unit, NULL, error);
    LS_TRY(unit_parameters(self, layer, true, hooks, &parameters, error));
    LS_TRY(self->device->is->fill_zero(self->device, stream, parameters.dweights,
                                       (layer->weight_count + layer->bias_count) * sizeof(float),
                                       error));
    LS_TRY(gradient_ready(unit, hooks, error));
    LS_TRY(released(layer, hooks, error));
    return backward_done(layer, hooks, error);
}

/* Without a sample of this batch the gradient is zero, and it joins the collectives. */
int network_backward_layer(network *self, pass *pass, int index, device_stream *stream,
                           const network_hooks *hooks, ls_error *error) {
    layer_run run = run_of(self, pass, stream);
    const graph_layer *layer = &self->graph->layers[index];
    if (pass->n == 0 && layer->unit < 0)
        return LS_OK;
    if (pass->n == 0) {
        LS_TRY(empty_unit(self, layer->unit, stream, hooks, error));
        return between(hooks, error);
    }
    begin_range(self, hooks, layer->name);
    LS_TRY(backward_layer(self, pass, index, &run, hooks, error));
    end_range(self, hooks);
    return LS_OK;
}

int network_backward(network *self, pass *pass, device_stream *stream, const network_hooks *hooks,
                     ls_error *error) {
    for (int index = self->graph->layer_count - 1; index >= 0; index--)
        LS_TRY(network_backward_layer(self, pass, index, stream, hooks, error));
    return LS_OK;
}
