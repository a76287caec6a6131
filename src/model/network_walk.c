/* Forward and backward: layer after layer, with the hooks of whoever walks. */
#include "model/network_parts.h"

static bool goes_as_factors(const graph_layer *layer, const network_hooks *hooks) {
    return layer->is->has_factors && hooks->takes_factors &&
           hooks->takes_factors(hooks->context, layer->unit);
}

static int come_to(int unit, bool backward, const network_hooks *hooks, ls_error *error) {
    return unit >= 0 && hooks->comes_to ? hooks->comes_to(hooks->context, unit, backward, error)
                                        : LS_OK;
}

/* Points `out` to the unit's parameters, and in backward to their gradients, as the mode says for
 * this use, and to the layer's buffers. */
static int find_unit(const network *self, const graph_layer *layer, bool backward,
                     const network_hooks *hooks, op_arguments *out, ls_error *error) {
    const graph *graph = self->graph;
    const float *block = NULL;
    float *gradient = NULL, *buffers = NULL;
    if (layer->unit >= 0) {
        LS_TRY(hooks->parameters(hooks->context, layer->unit, &block, error));
        if (backward)
            LS_TRY(hooks->gradient(hooks->context, layer->unit, &gradient, error));
    }
    for (int index = 0; index < layer->record_count; index++) {
        int record = layer->first_record + index;
        const graph_parameter *of = &graph->parameters[record];
        if (!of->trained) {
            if (!buffers)
                LS_TRY(hooks->buffers(hooks->context, &buffers, error));
            out->buffers[of->number] = buffers + of->first;
            continue;
        }
        size_t at = of->first - graph->units[layer->unit].first;
        out->parameters[of->number] = block + at;
        out->packed[of->number] = self->packed[record];
        if (backward) {
            out->gradients[of->number] = gradient + at;
            out->left[of->number] = self->left[record];
        }
    }
    return LS_OK;
}

/* The bias of a layer: the last of its trained parameters. */
static const graph_parameter *bias_of(const graph *graph, const graph_layer *layer) {
    return &graph->parameters[layer->first_record + layer->record_count - 1];
}

/* Who makes the gradient of a bias: this layer of the one that made its input, or its reader of its
 * own. A layer that goes as factors has the sums in its product. */
static int share_sums(const network *self, const layer_pass *here, const network_hooks *hooks,
                      op_arguments *out, ls_error *error) {
    const graph *graph = self->graph;
    const graph_layer *other = here->sums_for;
    if (here->summed_by)
        out->gradients[bias_of(graph, here->layer)->number] = NULL;
    if (!other || goes_as_factors(other, hooks))
        return LS_OK;
    LS_TRY(hooks->gradient(hooks->context, other->unit, &out->dx_sums, error));
    out->dx_sums += bias_of(graph, other)->first - graph->units[other->unit].first;
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

static void begin_range(const network *self, const network_hooks *hooks, const char *name) {
    if (!hooks->quiet)
        device_range_begin(self->device, name);
}

static void end_range(const network *self, const network_hooks *hooks) {
    if (!hooks->quiet)
        device_range_end(self->device);
}

size_t graph_most_sums(const graph *graph) {
    size_t most = 0;
    for (int index = 0; index < graph->layer_count; index++) {
        const graph_layer *layer = &graph->layers[index];
        size_t count = layer->is->summed ? layer->is->summed(graph, layer) : 0;
        most = count > most ? count : most;
    }
    return most;
}

/* A pass of 0 samples has nothing to add to the layer's sums, for which the other ranks wait. */
static int join_sums(const network *self, const graph_layer *layer, device_stream *stream,
                     const network_hooks *hooks, ls_error *error) {
    const op_sums *sums = hooks->sums;
    if (!sums || !layer->is->summed)
        return LS_OK;
    size_t count = layer->is->summed(self->graph, layer);
    LS_TRY(self->device->is->fill_zero(self->device, stream, sums->values,
                                       count * sizeof *sums->values, error));
    return sums->add_up(sums->context, count, error);
}

int network_forward_layer(network *self, pass *pass, int index, bool training,
                          device_stream *stream, const network_hooks *hooks, ls_error *error) {
    const graph_layer *layer = &self->graph->layers[index];
    layer_pass *here = &pass->layers[index];
    op_arguments arguments = here->at;
    arguments.stream = stream;
    arguments.training = training;
    arguments.sums = hooks->sums;
    arguments.draws = hooks->draws;
    begin_range(self, hooks, layer->name);
    LS_TRY(come_to(layer->unit, false, hooks, error));
    LS_TRY(find_unit(self, layer, false, hooks, &arguments, error));
    if (goes_as_factors(layer, hooks))
        LS_TRY(hooks->input_ready(hooks->context, layer->unit, here->at.x[0], error));
    if (pass->n > 0)
        LS_TRY(here->plan->is->forward(here->plan, &arguments, error));
    else if (training)
        LS_TRY(join_sums(self, layer, stream, hooks, error));
    LS_TRY(between(hooks, error));
    LS_TRY(released(layer, hooks, error));
    end_range(self, hooks);
    return LS_OK;
}

int network_forward(network *self, pass *pass, bool training, device_stream *stream,
                    const network_hooks *hooks, ls_error *error) {
    for (int index = 0; index < self->graph->layer_count; index++)
        LS_TRY(network_forward_layer(self, pass, index, training, stream, hooks, error));
    return LS_OK;
}

/* Adds what a reader wrote aside to the gradient of a tensor that was used more than once. */
static int add_extra(const network *self, const pass *pass, int index, device_stream *stream,
                     ls_error *error) {
    const graph_layer *layer = &self->graph->layers[index];
    for (int input = 0; input < layer->input_count; input++) {
        if (pass->layers[index].extra_gradient[input] < 0)
            continue;
        int tensor = layer->inputs[input];
        size_t count = graph_tensor_elements(&self->graph->tensors[tensor]) * (size_t)pass->n;
        char *gradient = self->arena + pass->buffers[pass->gradient[tensor]].offset;
        LS_TRY(self->device->is->ops->add(self->device, stream, count, self->type,
                                          pass->layers[index].back.dx[input], gradient, error));
    }
    return LS_OK;
}

static int gradient_ready(int unit, const network_hooks *hooks, ls_error *error) {
    return hooks->gradient_ready ? hooks->gradient_ready(hooks->context, unit, error) : LS_OK;
}

static bool wants_dx(const layer_pass *here) {
    for (int input = 0; input < here->layer->input_count; input++)
        if (here->back.dx[input])
            return true;
    return false;
}

/* A ReLU is the only activation whose derivative is made of the output alone: others are their
 * op's own. */
static int mask(const network *self, const layer_pass *here, device_stream *stream,
                const network_hooks *hooks, ls_error *error) {
    if (here->layer->activation != ACTIVATION_RELU || here->dy_masked || !here->dy ||
        here->layer->is->masks_itself)
        return LS_OK;
    begin_range(self, hooks, "relu");
    LS_TRY(self->device->is->ops->relu_backward(self->device, stream, here->elements, self->type,
                                                here->back.y, here->dy, error));
    end_range(self, hooks);
    return LS_OK;
}

static int backward_layer(network *self, pass *pass, int index, device_stream *stream,
                          const network_hooks *hooks, ls_error *error) {
    layer_pass *here = &pass->layers[index];
    const graph_layer *layer = here->layer;
    op_arguments arguments = here->back;
    arguments.stream = stream;
    arguments.training = true;
    arguments.sums = hooks->sums;
    arguments.draws = hooks->draws;
    if (!here->comes_early)
        LS_TRY(come_to(layer->unit, true, hooks, error));
    LS_TRY(find_unit(self, layer, true, hooks, &arguments, error));
    LS_TRY(share_sums(self, here, hooks, &arguments, error));
    LS_TRY(mask(self, here, stream, hooks, error));
    if (goes_as_factors(layer, hooks)) {
        LS_TRY(hooks->delta_ready(hooks->context, layer->unit, here->dy, error));
    } else if (layer->unit >= 0) {
        begin_range(self, hooks, "backward_weights");
        LS_TRY(here->plan->is->backward_parameters(here->plan, &arguments, error));
        end_range(self, hooks);
        LS_TRY(gradient_ready(layer->unit, hooks, error));
        LS_TRY(between(hooks, error));
    }
    if (wants_dx(here)) {
        begin_range(self, hooks, "backward_data");
        LS_TRY(here->plan->is->backward_inputs(here->plan, &arguments, error));
        LS_TRY(add_extra(self, pass, index, stream, error));
        end_range(self, hooks);
        LS_TRY(between(hooks, error));
    }
    LS_TRY(released(layer, hooks, error));
    return backward_done(layer, hooks, error);
}

/* A layer's output once more, for backward of those that read it. */
static int make_again(network *self, pass *pass, int index, device_stream *stream,
                      const network_hooks *hooks, ls_error *error) {
    layer_pass *here = &pass->layers[index];
    const graph_layer *layer = here->layer;
    op_arguments arguments = here->back;
    arguments.stream = stream;
    arguments.training = arguments.again = true;
    arguments.draws = hooks->draws;
    begin_range(self, hooks, layer->name);
    begin_range(self, hooks, "again");
    if (here->from_saved) {
        LS_TRY(here->plan->is->again(here->plan, &arguments, error));
    } else {
        LS_TRY(find_unit(self, layer, false, hooks, &arguments, error));
        LS_TRY(here->plan->is->forward(here->plan, &arguments, error));
    }
    end_range(self, hooks);
    end_range(self, hooks);
    return between(hooks, error);
}

/* All that is run again before backward of a layer. */
static int make_all_again(network *self, pass *pass, int index, device_stream *stream,
                          const network_hooks *hooks, ls_error *error) {
    LS_TRY(come_to(pass->layers[index].comes_to, true, hooks, error));
    for (int each = pass->layers[index].first_again; each <= index; each++)
        if (pass->layers[each].again_before == index)
            LS_TRY(make_again(self, pass, each, stream, hooks, error));
    return LS_OK;
}

static int empty_unit(network *self, int unit, device_stream *stream, const network_hooks *hooks,
                      ls_error *error) {
    const graph_layer *layer = graph_unit_layer(self->graph, unit);
    const float *parameters;
    float *gradient;
    LS_TRY(come_to(unit, true, hooks, error));
    if (goes_as_factors(layer, hooks))
        return hooks->delta_ready(hooks->context, unit, NULL, error);
    LS_TRY(hooks->parameters(hooks->context, unit, &parameters, error));
    LS_TRY(hooks->gradient(hooks->context, unit, &gradient, error));
    LS_TRY(join_sums(self, layer, stream, hooks, error));
    LS_TRY(self->device->is->fill_zero(self->device, stream, gradient,
                                       self->graph->units[unit].count * sizeof(float), error));
    LS_TRY(gradient_ready(unit, hooks, error));
    LS_TRY(released(layer, hooks, error));
    return backward_done(layer, hooks, error);
}

/* Without a sample of this batch the gradient is zero, and it joins the collectives. */
int network_backward_layer(network *self, pass *pass, int index, device_stream *stream,
                           const network_hooks *hooks, ls_error *error) {
    const graph_layer *layer = &self->graph->layers[index];
    if (pass->n == 0 && layer->unit < 0)
        return LS_OK;
    if (pass->n == 0) {
        LS_TRY(empty_unit(self, layer->unit, stream, hooks, error));
        return between(hooks, error);
    }
    LS_TRY(make_all_again(self, pass, index, stream, hooks, error));
    begin_range(self, hooks, layer->name);
    LS_TRY(backward_layer(self, pass, index, stream, hooks, error));
    end_range(self, hooks);
    return LS_OK;
}

int network_backward(network *self, pass *pass, device_stream *stream, const network_hooks *hooks,
                     ls_error *error) {
    for (int index = self->graph->layer_count - 1; index >= 0; index--)
        LS_TRY(network_backward_layer(self, pass, index, stream, hooks, error));
    return LS_OK;
}
