#include "model/network.h"
#include "model/network_parts.h"

#include <stdlib.h>

static tensor_layout layout_of(const graph *graph, const device *device, dtype type, int tensor) {
    const graph_tensor *t = &graph->tensors[tensor];
    if (t->flattened || (t->height == 1 && t->width == 1))
        return device->is->ops->choose_layout(LAYOUT_ROLE_FLAT, t->channels, type);
    return device->is->ops->choose_layout(t->producer < 0 ? LAYOUT_ROLE_INPUT : LAYOUT_ROLE_IMAGE,
                                          t->channels, type);
}

int network_create(const graph *graph, device *device, precision precision, network **out,
                   ls_error *error) {
    network *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->graph = graph;
    self->device = device;
    self->precision = precision;
    self->type = precision_type(precision);
    for (int tensor = 0; tensor < graph->tensor_count; tensor++)
        self->layouts[tensor] = layout_of(graph, device, self->type, tensor);
    *out = self;
    return LS_OK;
}

void network_destroy(network *self) {
    if (!self)
        return;
    network_forget_gathered(self);
    for (int index = 0; index < self->pass_count; index++)
        pass_destroy(self->passes[index], self->device, self->graph->layer_count);
    for (int layer = 0; layer < self->graph->layer_count; layer++)
        if (self->packed[layer])
            self->device->is->release(self->device, self->packed[layer]);
    if (self->arena)
        self->device->is->release(self->device, self->arena);
    for (int which = 0; which < self->input_count; which++)
        self->device->is->release(self->device, self->inputs[which]);
    free(self);
}

pass *network_pass(network *self, int n) {
    for (int index = 0; index < self->pass_count; index++)
        if (self->passes[index]->n == n)
            return self->passes[index];
    return NULL;
}

/* The pass whose plans decide how weights are packed: the first that has plans. */
pass *network_leading_pass(const network *self) {
    for (int index = 0; index < self->pass_count; index++)
        if (self->passes[index]->n > 0)
            return self->passes[index];
    return NULL;
}

int network_prepare(network *self, int n, ls_error *error) {
    if (network_pass(self, n))
        return LS_OK;
    if (self->arena || self->pass_count == MAX_PASSES)
        return ls_fail(error, LS_FAILED, "model: no pass for a batch of %d can be added now", n);
    pass *made;
    LS_TRY(pass_create(self->graph, self->device, self->precision, self->layouts, n,
                       network_leading_pass(self), &made, error));
    self->passes[self->pass_count++] = made;
    if (made->arena_bytes > self->arena_bytes)
        self->arena_bytes = made->arena_bytes;
    return LS_OK;
}

static int allocate_packed(network *self, ls_error *error) {
    pass *leading = network_leading_pass(self);
    for (int layer = 0; leading && layer < self->graph->layer_count; layer++) {
        plan *plan = leading->layers[layer].plan;
        size_t bytes = plan ? self->device->is->ops->plan_packed_bytes(plan) : 0;
        if (bytes == 0)
            continue;
        LS_TRY(self->device->is->allocate(self->device, bytes, "packed weights",
                                          &self->packed[layer], error));
    }
    return LS_OK;
}

static size_t input_bytes(const network *self) {
    int most = 0;
    for (int index = 0; index < self->pass_count; index++)
        most = self->passes[index]->n > most ? self->passes[index]->n : most;
    return graph_tensor_elements(&self->graph->tensors[0]) * (size_t)most * dtype_bytes(self->type);
}

static int wanted_inputs(const network *self) {
    return self->device->facts.asynchronous ? NETWORK_MAX_INPUTS : 1;
}

static int allocate_inputs(network *self, ls_error *error) {
    for (; self->input_count < wanted_inputs(self); self->input_count++)
        LS_TRY(self->device->is->allocate(self->device, input_bytes(self), "a batch",
                                          &self->inputs[self->input_count], error));
    return LS_OK;
}

int network_seal(network *self, ls_error *error) {
    void *arena;
    LS_TRY(allocate_packed(self, error));
    LS_TRY(allocate_inputs(self, error));
    LS_TRY(
        self->device->is->allocate(self->device, self->arena_bytes, "activations", &arena, error));
    self->arena = arena;
    for (int index = 0; index < self->pass_count; index++) {
        pass_place(self->passes[index], self->graph, self->arena);
        network_take_input(self, self->passes[index], 0);
    }
    return LS_OK;
}

void *network_input(const network *self, int which) {
    return self->inputs[which < self->input_count ? which : 0];
}
void network_take_input(const network *self, pass *pass, int which) {
    pass_place_input(pass, self->graph, network_input(self, which));
}

void *pass_input(pass *pass) {
    return pass->input;
}
void *pass_logits(pass *pass) {
    return pass->logits;
}
void *pass_logits_gradient(pass *pass) {
    return pass->logits_gradient;
}
dtype network_type(const network *self) {
    return self->type;
}
size_t network_arena_bytes(const network *self) {
    return self->arena_bytes + (size_t)wanted_inputs(self) * input_bytes(self);
}
tensor_layout network_input_layout(const network *self) {
    return self->layouts[0];
}

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

int network_forward(network *self, pass *pass, device_stream *stream, const network_hooks *hooks,
                    ls_error *error) {
    layer_run run = run_of(self, pass, stream);
    for (int index = 0; index < self->graph->layer_count; index++) {
        const graph_layer *layer = &self->graph->layers[index];
        layer_parameters parameters;
        device_range_begin(self->device, layer->name);
        LS_TRY(unit_parameters(self, layer, false, hooks, &parameters, error));
        if (goes_as_factors(layer, hooks))
            LS_TRY(
                hooks->input_ready(hooks->context, layer->unit, pass->layers[index].x[0], error));
        if (pass->n > 0)
            LS_TRY(layer->is->forward(&run, &pass->layers[index], &parameters, error));
        LS_TRY(between(hooks, error));
        LS_TRY(released(layer, hooks, error));
        device_range_end(self->device);
    }
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
        device_range_begin(self->device, "relu");
        LS_TRY(self->device->is->ops->relu_backward(self->device, run->stream, at->elements,
                                                    self->type, at->y, at->dy, error));
        device_range_end(self->device);
    }
    if (goes_as_factors(layer, hooks)) {
        LS_TRY(hooks->delta_ready(hooks->context, layer->unit, at->dy, error));
    } else if (layer->is->backward_weights) {
        device_range_begin(self->device, "backward_weights");
        LS_TRY(layer->is->backward_weights(run, at, &parameters, error));
        device_range_end(self->device);
        LS_TRY(gradient_ready(layer->unit, hooks, error));
        LS_TRY(between(hooks, error));
    }
    if (at->dx[0] || at->dx[1]) {
        device_range_begin(self->device, "backward_data");
        LS_TRY(layer->is->backward_data(run, at, &parameters, error));
        LS_TRY(add_extra(self, pass, index, run, error));
        device_range_end(self->device);
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

/* A rank without a sample of this batch: its gradient is zero, and it joins the collectives. */
static int backward_empty(network *self, device_stream *stream, const network_hooks *hooks,
                          ls_error *error) {
    for (int unit = self->graph->unit_count - 1; unit >= 0; unit--) {
        LS_TRY(empty_unit(self, unit, stream, hooks, error));
        LS_TRY(between(hooks, error));
    }
    return LS_OK;
}

int network_backward(network *self, pass *pass, device_stream *stream, const network_hooks *hooks,
                     ls_error *error) {
    if (pass->n == 0)
        return backward_empty(self, stream, hooks, error);
    layer_run run = run_of(self, pass, stream);
    for (int index = self->graph->layer_count - 1; index >= 0; index--) {
        device_range_begin(self->device, self->graph->layers[index].name);
        LS_TRY(backward_layer(self, pass, index, &run, hooks, error));
        device_range_end(self->device);
    }
    return LS_OK;
}

int network_ranges(network *self, float learning_rate, float weight_decay, parameter_range *out) {
    pass *leading = network_leading_pass(self);
    int count = 0;
    for (int unit = 0; unit < self->graph->unit_count; unit++) {
        int index = self->graph->unit_layers[unit];
        const graph_layer *layer = &self->graph->layers[index];
        bool packed = leading && self->packed[index];
        out[count++] = (parameter_range){.first = layer->first_weight,
                                         .count = layer->weight_count,
                                         .learning_rate = learning_rate,
                                         .weight_decay = weight_decay,
                                         .packing = packed ? leading->layers[index].plan : NULL,
                                         .packed = packed ? self->packed[index] : NULL};
        out[count++] = (parameter_range){.first = layer->first_weight + layer->weight_count,
                                         .count = layer->bias_count,
                                         .learning_rate = learning_rate,
                                         .weight_decay = weight_decay};
    }
    return count;
}

int network_pack(network *self, device_stream *stream, const float *parameters, ls_error *error) {
    pass *leading = network_leading_pass(self);
    for (int layer = 0; leading && layer < self->graph->layer_count; layer++)
        if (self->packed[layer])
            LS_TRY(self->device->is->ops->pack_weights(
                leading->layers[layer].plan, stream,
                parameters + self->graph->layers[layer].first_weight, self->packed[layer], error));
    return LS_OK;
}
