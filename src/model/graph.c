/* A graph's arrays, and what builders put into them. */
#include "model/graph.h"
#include "model/layer.h"
#include "model/layers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* An array of `count` with room for one more: where it is, or moved; its capacities are the powers
 * of two. NULL, and the array stays: no memory, which is kept as the graph's error. */
static void *grown(graph *self, void *array, int count, size_t element) {
    if (count & (count - 1))
        return array;
    void *larger = realloc(array, (count ? 2 * (size_t)count : 1) * element);
    if (!larger)
        ls_fail(&self->error, LS_FAILED, "out of memory");
    return larger;
}

void graph_release(graph *self) {
    for (int tensor = 0; tensor < self->tensor_count; tensor++)
        free(self->tensors[tensor].uses);
    for (int layer = 0; layer < self->layer_count; layer++)
        free(self->layers[layer].settings);
    free(self->tensors), free(self->layers), free(self->units), free(self->parameters);
    *self = (graph){0};
}

static int new_tensor(graph *self, graph_tensor shape, int producer) {
    if (self->error.code != LS_OK)
        return 0;
    graph_tensor *tensors = grown(self, self->tensors, self->tensor_count, sizeof *tensors);
    if (!tensors)
        return 0;
    self->tensors = tensors;
    shape.producer = producer;
    self->tensors[self->tensor_count] = shape;
    return self->tensor_count++;
}

static void use(graph *self, int tensor, int layer) {
    graph_tensor *t = &self->tensors[tensor];
    int *uses = grown(self, t->uses, t->use_count, sizeof *uses);
    if (!uses)
        return;
    t->uses = uses;
    t->uses[t->use_count++] = layer;
}

graph_layer *graph_begin_layer(graph *self, const layer_interface *is, const char *name,
                               const int *inputs, int input_count, size_t settings_bytes) {
    if (self->error.code != LS_OK)
        return NULL;
    graph_layer *layers = grown(self, self->layers, self->layer_count, sizeof *layers);
    if (!layers)
        return NULL;
    self->layers = layers;
    graph_layer *layer = &self->layers[self->layer_count];
    *layer = (graph_layer){.is = is,
                           .input_count = input_count,
                           .unit = -1,
                           .block = self->in_block ? self->layer_blocks : 0};
    if (snprintf(layer->name, sizeof layer->name, "%s", name) >= (int)sizeof layer->name) {
        ls_fail(&self->error, LS_FAILED, "model: a layer's name has at most %zu letters: %s",
                sizeof layer->name - 1, name);
        return NULL;
    }
    layer->settings = settings_bytes ? calloc(1, settings_bytes) : NULL;
    if (settings_bytes && !layer->settings) {
        ls_fail(&self->error, LS_FAILED, "out of memory");
        return NULL;
    }
    for (int index = 0; index < input_count; index++) {
        layer->inputs[index] = inputs[index];
        use(self, inputs[index], self->layer_count);
    }
    self->layer_count++;
    return layer;
}

int graph_end_layer(graph *self, graph_layer *layer, graph_tensor shape) {
    if (shape.height < 1 || shape.width < 1 || shape.tokens < 1 || shape.channels < 1)
        ls_fail(&self->error, LS_BAD_INPUT, "model: %s: the output would be %d x %d x %d",
                layer->name, shape.height * shape.tokens, shape.width, shape.channels);
    shape.activation = layer->activation;
    shape.wants_gradient = layer->unit >= 0;
    for (int input = 0; input < layer->input_count; input++)
        shape.wants_gradient |= self->tensors[layer->inputs[input]].wants_gradient;
    return layer->output = new_tensor(self, shape, (int)(layer - self->layers));
}

void graph_begin_block(graph *self) {
    self->in_block = true;
    self->layer_blocks++;
    self->block_units = 0;
}

void graph_end_block(graph *self) {
    self->in_block = false;
}

/* Of the unit that comes next. */
static int block_of(graph *self) {
    bool joins = self->in_block && self->block_units > 0;
    self->block_units++;
    return joins ? self->block_count - 1 : self->block_count++;
}

/* The unit of a layer, begun with its first trained parameter. NULL: no memory. */
static graph_unit *unit_of(graph *self, graph_layer *layer) {
    if (layer->unit < 0) {
        graph_unit *units = grown(self, self->units, self->unit_count, sizeof *units);
        if (!units)
            return NULL;
        self->units = units;
        layer->unit = self->unit_count++;
        self->units[layer->unit] = (graph_unit){.layer = (int)(layer - self->layers),
                                                .block = block_of(self),
                                                .first = self->parameter_count};
    }
    return &self->units[layer->unit];
}

/* How many of a layer's records so far are trained, or are not. */
static int records_of(const graph *self, const graph_layer *layer, bool trained) {
    int found = 0;
    for (int index = 0; index < layer->record_count; index++)
        found += self->parameters[layer->first_record + index].trained == trained;
    return found;
}

void graph_give(graph *self, graph_layer *layer, const graph_parameter *wanted) {
    graph_parameter *records = grown(self, self->parameters, self->record_count, sizeof *records);
    if (!records)
        return;
    self->parameters = records;
    graph_parameter *made = &self->parameters[self->record_count];
    *made = *wanted;
    if (!wanted->whole_name && snprintf(made->name, sizeof made->name, "%s.%s", layer->name,
                                        wanted->name) >= (int)sizeof made->name)
        ls_fail(&self->error, LS_FAILED, "model: %s: a tensor's name is too long", layer->name);
    made->number = records_of(self, layer, made->trained);
    if (made->number == (made->trained ? OP_PARAMETERS : OP_BUFFERS)) {
        ls_fail(&self->error, LS_FAILED, "model: %s: a layer has at most %d %s", layer->name,
                made->number, made->trained ? "parameters" : "buffers");
        return;
    }
    made->layer = (int)(layer - self->layers);
    made->count = 1;
    for (int dim = 0; dim < made->dim_count; dim++)
        made->count *= (size_t)made->dims[dim];
    size_t *end = made->trained ? &self->parameter_count : &self->buffer_count;
    graph_unit *unit = made->trained ? unit_of(self, layer) : NULL;
    if (made->trained && !unit)
        return;
    if (unit)
        unit->count += made->count;
    made->unit = unit ? layer->unit : -1;
    made->first = *end;
    *end += made->count;
    if (layer->record_count++ == 0)
        layer->first_record = self->record_count;
    self->record_count++;
}

void graph_give_weight_and_bias(graph *self, graph_layer *layer, const int *dims, int dim_count) {
    graph_parameter weight = {
        .name = "weight", .dim_count = dim_count, .trained = true, .decays = true};
    graph_parameter bias = {.name = "bias", .dims = {dims[0]}, .dim_count = 1, .trained = true};
    int fan_in = 1;
    for (int dim = 0; dim < dim_count; dim++) {
        weight.dims[dim] = dims[dim];
        fan_in *= dim ? dims[dim] : 1;
    }
    weight.initialiser = bias.initialiser =
        (graph_initialiser){INITIALISE_UNIFORM, 1.0f / sqrtf((float)fan_in)};
    graph_give(self, layer, &weight);
    graph_give(self, layer, &bias);
}

int graph_zero_branches(graph *self, ls_error *error) {
    int found = 0;
    for (int record = 0; record < self->record_count; record++)
        if (self->parameters[record].scales_branch) {
            self->parameters[record].initialiser = (graph_initialiser){INITIALISE_CONSTANT, 0};
            found++;
        }
    if (found == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--zero-init-residual: expected a model with residual branches that end in "
                       "a norm, found none");
    return LS_OK;
}

int graph_input(graph *self, int height, int width, int channels) {
    return new_tensor(self, image_of(height, width, channels), -1);
}

int graph_finish(graph *self, int output, ls_error *error) {
    self->output = output;
    for (int tensor = 0; tensor < self->tensor_count; tensor++)
        if (tensor != output && self->tensors[tensor].use_count == 0)
            ls_fail(&self->error, LS_FAILED, "model: the output of %s is not used",
                    self->tensors[tensor].producer < 0
                        ? "the input"
                        : self->layers[self->tensors[tensor].producer].name);
    if (output < self->tensor_count && self->tensors[output].use_count != 0)
        ls_fail(&self->error, LS_FAILED, "model: the logits are used by another layer");
    if (self->error.code != LS_OK)
        *error = self->error;
    return self->error.code;
}
