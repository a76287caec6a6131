#include "model/graph.h"
#include "model/layer.h"

#include <stdio.h>

static int new_tensor(graph *self, int height, int width, int channels, int producer) {
    if (self->error.code != LS_OK)
        return 0;
    if (self->tensor_count == GRAPH_MAX_TENSORS) {
        ls_fail(&self->error, LS_FAILED, "model: more than %d tensors", GRAPH_MAX_TENSORS);
        return 0;
    }
    self->tensors[self->tensor_count] = (graph_tensor){
        .height = height, .width = width, .channels = channels, .producer = producer};
    return self->tensor_count++;
}

/* A layer that reads `inputs`; NULL after a mistake. */
static graph_layer *new_layer(graph *self, const layer_interface *is, const char *name,
                              const int *inputs, int input_count) {
    if (self->error.code != LS_OK)
        return NULL;
    if (self->layer_count == GRAPH_MAX_LAYERS) {
        ls_fail(&self->error, LS_FAILED, "model: more than %d layers", GRAPH_MAX_LAYERS);
        return NULL;
    }
    graph_layer *layer = &self->layers[self->layer_count];
    *layer = (graph_layer){.is = is, .input_count = input_count, .unit = -1};
    snprintf(layer->name, sizeof layer->name, "%s", name);
    for (int index = 0; index < input_count; index++) {
        graph_tensor *tensor = &self->tensors[inputs[index]];
        layer->inputs[index] = inputs[index];
        if (tensor->use_count == GRAPH_MAX_USES) {
            ls_fail(&self->error, LS_FAILED, "model: %s: a tensor is used more than %d times", name,
                    GRAPH_MAX_USES);
            return NULL;
        }
        tensor->uses[tensor->use_count++] = self->layer_count;
    }
    self->layer_count++;
    return layer;
}

static int finish_layer(graph *self, graph_layer *layer, int height, int width, int channels) {
    if (height < 1 || width < 1 || channels < 1)
        ls_fail(&self->error, LS_BAD_INPUT, "model: %s: the output would be %d x %d x %d",
                layer->name, height, width, channels);
    layer->output = new_tensor(self, height, width, channels, (int)(layer - self->layers));
    self->tensors[layer->output].relu = layer->relu;
    return layer->output;
}

static void give_parameters(graph *self, graph_layer *layer, int fan_in, int out) {
    layer->fan_in = fan_in;
    layer->first_weight = self->parameter_count;
    layer->weight_count = (size_t)fan_in * (size_t)out;
    layer->bias_count = (size_t)out;
    layer->unit = self->unit_count;
    self->parameter_count += layer->weight_count + layer->bias_count;
    self->unit_layers[self->unit_count++] = (int)(layer - self->layers);
}

int graph_input(graph *self, int height, int width, int channels) {
    return new_tensor(self, height, width, channels, -1);
}

int graph_conv2d(graph *self, const char *name, int input, int out_channels, int kernel, int stride,
                 int padding, bool relu) {
    graph_layer *layer = new_layer(self, &layer_conv2d, name, &input, 1);
    if (!layer)
        return 0;
    const graph_tensor *x = &self->tensors[input];
    layer->out_channels = out_channels;
    layer->kernel = kernel;
    layer->stride = stride;
    layer->padding = padding;
    layer->relu = relu;
    give_parameters(self, layer, kernel * kernel * x->channels, out_channels);
    return finish_layer(self, layer, (x->height + 2 * padding - kernel) / stride + 1,
                        (x->width + 2 * padding - kernel) / stride + 1, out_channels);
}

int graph_maxpool2d(graph *self, const char *name, int input, int window) {
    graph_layer *layer = new_layer(self, &layer_maxpool2d, name, &input, 1);
    if (!layer)
        return 0;
    const graph_tensor *x = &self->tensors[input];
    layer->kernel = layer->stride = window;
    return finish_layer(self, layer, x->height / window, x->width / window, x->channels);
}

int graph_linear(graph *self, const char *name, int input, int out_features, bool relu) {
    graph_layer *layer = new_layer(self, &layer_linear, name, &input, 1);
    if (!layer)
        return 0;
    graph_tensor *x = &self->tensors[input];
    x->flattened = true;
    layer->out_channels = out_features;
    layer->relu = relu;
    give_parameters(self, layer, (int)graph_tensor_elements(x), out_features);
    return finish_layer(self, layer, 1, 1, out_features);
}

int graph_add(graph *self, const char *name, int a, int b, bool relu) {
    graph_layer *layer = new_layer(self, &layer_add, name, (int[]){a, b}, 2);
    if (!layer)
        return 0;
    const graph_tensor *x = &self->tensors[a], *y = &self->tensors[b];
    if (x->height != y->height || x->width != y->width || x->channels != y->channels)
        ls_fail(&self->error, LS_FAILED, "model: %s: %d x %d x %d cannot be added to %d x %d x %d",
                name, x->height, x->width, x->channels, y->height, y->width, y->channels);
    layer->relu = relu;
    return finish_layer(self, layer, x->height, x->width, x->channels);
}

int graph_finish(graph *self, int output, ls_error *error) {
    self->output = output;
    for (int tensor = 0; tensor < self->tensor_count; tensor++)
        if (tensor != output && self->tensors[tensor].use_count == 0)
            ls_fail(&self->error, LS_FAILED, "model: the output of %s is not used",
                    self->tensors[tensor].producer < 0
                        ? "the input"
                        : self->layers[self->tensors[tensor].producer].name);
    if (self->tensors[output].use_count != 0)
        ls_fail(&self->error, LS_FAILED, "model: the logits are used by another layer");
    if (self->error.code != LS_OK)
        *error = self->error;
    return self->error.code;
}
