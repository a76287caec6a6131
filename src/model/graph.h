/* A model as a graph of layers in topological order, built by one function a model (cnn.c) from the
 * kinds of layers.h. Logical only: shapes are checked as it is built; no device, no batch size. The
 * parameters are one flat logical array in the order of the layers, so that backward makes
 * gradients ready from its end. A layer with parameters is a unit: what a mode gathers, reduces or
 * frees at once. What is kept but not trained (running statistics) lies in a second flat array, the
 * buffers. */
#ifndef LOCKSTEP_MODEL_GRAPH_H
#define LOCKSTEP_MODEL_GRAPH_H

#include "base/error.h"
#include "device/op.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    TENSOR_IMAGE,  /* [height, width, channels] */
    TENSOR_TOKENS, /* [tokens, channels] */
    TENSOR_VECTOR  /* [channels] */
} tensor_kind;

/* One sample's shape; what its kind does not have is 1. */
typedef struct graph_tensor {
    tensor_kind kind;
    int height, width, tokens, channels;
    int producer; /* layer; -1: the network's input */
    int *uses;    /* [use_count] layers that read it, in order; one that reads it twice, twice */
    int use_count;
    activation activation; /* its producer applied it */
    bool flattened;        /* some layer reads it as a vector, in [h, w, c] order */
    bool wants_gradient;   /* it depends on what is trained */
} graph_tensor;

typedef struct layer_interface layer_interface; /* model/layer.h */

/* What a parameter or a buffer holds before the first step. */
typedef struct graph_initialiser {
    enum {
        INITIALISE_CONSTANT, /* `value` everywhere */
        INITIALISE_UNIFORM,  /* evenly in [-value, value) */
        INITIALISE_NORMAL    /* normally distributed, of mean 0 and standard deviation `value` */
    } kind;
    float value;
} graph_initialiser;

/* A parameter tensor, or a buffer where it is not trained. */
typedef struct graph_parameter {
    char name[96];   /* "conv1.weight": the layer's and the tensor's as PyTorch names it */
    bool whole_name; /* the tensor's alone is all of it: "cls_token" */
    int dims[4], dim_count;
    graph_initialiser initialiser;
    bool trained;
    bool decays; /* weight decay is meant for it: weights, not biases or norms */
    /* The scale of what a residual branch adds: 0 makes the block begin as the identity. */
    bool scales_branch;
    /* Elements, in the array of the parameters, or of the buffers. Tensors follow one another
     * without a gap; what is trained begins at multiples of 64 in every model (a test says so), as
     * a device's widest loads want it: a layer of an odd size stands last, or costs those behind it
     * their speed. */
    size_t first, count;
    int layer;
    int number; /* among its layer's parameters, or among its buffers: the op's */
    int unit;   /* of its layer; -1: not trained */
} graph_parameter;

/* A unit's part of the flat arrays: its layer's trained parameters, one after the other. */
typedef struct graph_unit {
    int layer;
    int block; /* 0, 1, ...: of the units that its model says are used together, or its own */
    size_t first, count;
} graph_unit;

typedef struct graph_layer {
    const layer_interface *is;
    char name[64];
    int inputs[OP_INPUTS], input_count; /* tensors */
    int output;
    activation activation;
    void *settings;                 /* the kind's own struct; NULL: it has none */
    int first_record, record_count; /* its parameters and buffers, in graph.parameters */
    int unit;                       /* -1: nothing to train */
    int block;                      /* 1, 2, ... in the order of graph_begin_block; 0: in none */
} graph_layer;

/* Begins as all zeros; the arrays grow as it is built. */
typedef struct graph {
    graph_tensor *tensors; /* [tensor_count]; 0 is the input */
    graph_layer *layers;   /* [layer_count] */
    graph_unit *units;     /* [unit_count] */
    /* All records, trained or not, in the order of the layers: [record_count]. */
    graph_parameter *parameters;
    int tensor_count, layer_count, unit_count, record_count;
    int block_count;        /* of units */
    bool in_block;          /* between graph_begin_block and graph_end_block */
    int block_units;        /* since the first of these */
    int layer_blocks;       /* graph_layer.block of the last one */
    int output;             /* tensor: the logits */
    size_t parameter_count; /* elements of the flat array of what is trained */
    size_t buffer_count;    /* elements of the flat array of what is not */
    ls_error error;         /* the first mistake while building; later calls do nothing */
} graph;

/* Frees what it holds; all zeros is fine. */
void graph_release(graph *self);

/* Residual branches begin with 0 (Goyal et al., "Accurate, Large Minibatch SGD", 2017,
 * section 5.1): the scale at the end of each. LS_BAD_INPUT where the model has none. */
int graph_zero_branches(graph *self, ls_error *error);

/* Gives all layer norms another epsilon than the model's own, as weights of other programs want it
 * (1e-12 in HuggingFace's ViT); 0 changes nothing. Before a network is made of it. LS_BAD_INPUT
 * where there is no layer norm. */
int graph_set_layernorm_epsilon(graph *self, double epsilon, ls_error *error);
/* Of the first layer norm; 0: there is none. */
double graph_layernorm_epsilon(const graph *self);

/* The layer that a unit is. */
static inline const graph_layer *graph_unit_layer(const graph *self, int unit) {
    return &self->layers[self->units[unit].layer];
}

static inline size_t graph_tensor_elements(const graph_tensor *tensor) {
    return (size_t)tensor->height * (size_t)tensor->width * (size_t)tensor->tokens *
           (size_t)tensor->channels;
}

/* Models by name ("cnn", "resnet18"; a vision transformer's has the side of its patches in it,
 * and what is not as usual: "vit-s14", "vit-s14-mean-tanh"). *out is overwritten; released by the
 * caller, also after a failure. */
int model_build(const char *name, int height, int width, int channels, int classes, graph *out,
                ls_error *error);

/* What training leaves out of a vision transformer at random (device/kinds/dropout.h), as timm has
 * it: probabilities from 0 to less than 1. */
typedef struct model_drops {
    /* Of elements of the embedded tokens, and of what follows attn.proj, mlp.fc1's GELU and
     * mlp.fc2: timm's pos_drop_rate and proj_drop_rate, both. */
    double dropout;
    /* Of what a branch adds to a sample in the last block; it grows evenly from 0 in the first:
     * timm's drop_path_rate. */
    double path;
} model_drops;
/* The same with these; LS_BAD_INPUT where the model has none of them. */
int model_build_dropping(const char *name, const model_drops *drops, int height, int width,
                         int channels, int classes, graph *out, ls_error *error);
extern const char model_choices[]; /* for the option table: "cnn|resnet18|..." */

/* The vision transformer of that name with what is wanted of it. LS_BAD_INPUT where there is no
 * such model. */
enum { MODEL_NAME_BYTES = 32 };
typedef struct vit_form {
    int side;         /* of its patches; 0: as the name says, and so does NULL below */
    const char *pool; /* "class": its token goes to the head; "mean": the mean of all others */
    const char *gelu; /* "erf", "tanh" (device/op.h) */
} vit_form;
int model_vit_like(const char *name, const vit_form *wanted, char out[MODEL_NAME_BYTES],
                   ls_error *error);

/* What a vision transformer's name stands for. False: there is no such model. */
typedef struct vit_facts {
    int width, blocks, heads;
    int hidden;      /* of a block's MLP */
    int patch;       /* side */
    bool mean, tanh; /* its pooling, its GELU's form */
} vit_facts;
bool model_vit_facts(const char *name, vit_facts *out);
bool model_vit_named(const vit_facts *facts, char out[MODEL_NAME_BYTES]);

#endif
