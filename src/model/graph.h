/* A model as a graph of layers in topological order, built by one function a model (cnn.c).
 * Logical only: shapes are checked as it is built; no device, no batch size. The parameters are
 * one flat logical array in the order of the layers, so that backward makes gradients ready from
 * its end. A layer with parameters is a unit: what a mode gathers, reduces or frees at once. */
#ifndef LOCKSTEP_MODEL_GRAPH_H
#define LOCKSTEP_MODEL_GRAPH_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GRAPH_MAX_TENSORS = 512, GRAPH_MAX_LAYERS = 512, GRAPH_MAX_USES = 8 };

/* One sample's shape; a vector of features is 1 x 1 x channels. */
typedef struct graph_tensor {
    int height, width, channels;
    int producer;             /* layer; -1: the network's input */
    int uses[GRAPH_MAX_USES]; /* layers that read it, in order */
    int use_count;
    bool relu;      /* a ReLU's output: its producer applied one */
    bool flattened; /* some layer reads it as a vector, in [h, w, c] order */
} graph_tensor;

typedef struct layer_interface layer_interface; /* model/layer.h */

typedef struct graph_layer {
    const layer_interface *is;
    char name[32];
    int inputs[2], input_count; /* tensors */
    int output;
    bool relu;
    int out_channels, kernel, stride,
        padding; /* convolution, linear (out_channels), pooling (kernel) */
    /* Weights, then bias, in the flat array; counts 0 where the layer has none. */
    size_t first_weight, weight_count, bias_count;
    int fan_in;
    int unit; /* -1: no parameters */
} graph_layer;

typedef struct graph {
    graph_tensor tensors[GRAPH_MAX_TENSORS];
    graph_layer layers[GRAPH_MAX_LAYERS];
    int tensor_count, layer_count, unit_count;
    int unit_layers[GRAPH_MAX_LAYERS]; /* the layer of each unit */
    int output;                        /* tensor: the logits */
    size_t parameter_count;
    ls_error error; /* the first mistake while building; later calls do nothing */
} graph;

/* Building. Each returns the new tensor's number. Mistakes are kept in graph.error and reported by
 * graph_finish, so that a model reads as a list of layers. */
int graph_input(graph *self, int height, int width, int channels);
int graph_conv2d(graph *self, const char *name, int input, int out_channels, int kernel, int stride,
                 int padding, bool relu);
int graph_maxpool2d(graph *self, const char *name, int input, int window);
int graph_linear(graph *self, const char *name, int input, int out_features, bool relu);
/* a + b, then a ReLU where asked: a residual join. */
int graph_add(graph *self, const char *name, int a, int b, bool relu);
/* `output` is the logits. Checks that every other tensor is used. */
int graph_finish(graph *self, int output, ls_error *error);

static inline size_t graph_tensor_elements(const graph_tensor *tensor) {
    return (size_t)tensor->height * (size_t)tensor->width * (size_t)tensor->channels;
}

/* Models by name ("cnn"). */
int model_build(const char *name, int height, int width, int channels, int classes, graph *out,
                ls_error *error);
extern const char model_choices[]; /* for the option table: "cnn" */

#endif
