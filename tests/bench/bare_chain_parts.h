/* The files of the bare chain, for one another: bare_chain_nodes.c (oneDNN's memory and primitives,
 * a call each), bare_chain_onednn2.c or bare_chain_onednn3.c (what oneDNN's versions write
 * differently and device/cpu/onednn_version.h has no need of), bare_chain_layers.c (what the layers
 * are made of, where their parameters lie), bare_chain_build.c (in which order they run),
 * bare_chain.c (a step). Primitive descriptions and what they tell go with the process. */
#ifndef LOCKSTEP_TESTS_BARE_CHAIN_PARTS_H
#define LOCKSTEP_TESTS_BARE_CHAIN_PARTS_H

#include "bare_chain.h"

#include "device/cpu/onednn_version.h"

#include <dnnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define MUST(call)                                                                                 \
    do {                                                                                           \
        dnnl_status_t status_ = (call);                                                            \
        if (status_ != dnnl_success) {                                                             \
            fprintf(stderr, "%s:%d: %s: oneDNN status %d\n", __FILE__, __LINE__, #call, status_);  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { LAYERS = 4, CONV1 = 0, CONV2, FC1, FC2, MAX_NODES = 48, MAX_ARGUMENTS = 6, CLASSES = 10 };

typedef onednn_desc desc;

typedef struct node {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arguments[MAX_ARGUMENTS];
    int count;
} node;

typedef struct list {
    node nodes[MAX_NODES];
    int count;
} list;

/* One layer: the shape of its primitives, and where its parameters lie in the flat arrays. */
typedef struct layer {
    desc x, y, weights, bias, canonical; /* weights: the masters', which the gradient has too */
    desc any;                            /* of the weights' shape */
    dnnl_memory_t master, dmaster, dbias, bias_memory;
    size_t first, first_bias; /* in floats */
} layer;

struct bare_chain {
    int batch;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    layer layers[LAYERS];
    list forward, backward, refresh;
    dnnl_memory_t input, logits, dlogits;
    float *parameters, *gradients, *first_moment, *second_moment;
    size_t parameter_count; /* with padding */
    int step;
};

/* --- bare_chain_nodes.c */

desc chain_describe(int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag);
desc chain_image(int n, int c, int side, dnnl_format_tag_t tag);
desc chain_query(const_dnnl_primitive_desc_t from, dnnl_query_t what);
dnnl_primitive_attr_t chain_attributes(bool relu);
dnnl_memory_t chain_memory_at(bare_chain *self, desc what, void *handle);
dnnl_memory_t chain_memory(bare_chain *self, desc what); /* zeros */

typedef struct argument {
    int name;
    dnnl_memory_t memory;
} argument;

void chain_push(list *to, dnnl_primitive_desc_t description, const argument *arguments, int count);
/* Copies `from` to `to` once, or as a node of `nodes`. */
void chain_reorder(bare_chain *self, dnnl_memory_t from, dnnl_memory_t to, list *nodes);
void chain_run(bare_chain *self, const list *nodes);

/* --- bare_chain_onednn2.c, bare_chain_onednn3.c: the mask of a ReLU from its output, in place on
 * `what`; pools of 2 x 2. */

dnnl_primitive_desc_t chain_relu_backward(bare_chain *self, desc what);
dnnl_primitive_desc_t chain_pool(bare_chain *self, desc from, desc to);
dnnl_primitive_desc_t chain_pool_backward(bare_chain *self, desc from, desc to,
                                          const_dnnl_primitive_desc_t hint);

/* --- bare_chain_layers.c */

/* The layers' shapes, and the masters' layout: the gradient's favourite for a convolution; for a
 * linear layer, whose repacking would cost more than it brings, the plain one. */
void chain_plan_layers(bare_chain *self);
/* Masters and gradients are views of the flat arrays; the values come from canonical ones. */
void chain_place_parameters(bare_chain *self, const float *canonical);
/* The masters themselves where the primitive takes their layout, or a copy that each step
 * refreshes. */
dnnl_memory_t chain_weights_in(bare_chain *self, const layer *l, desc wanted);
/* Primitive descriptions of a layer. Weights are `any` where not yet known. */
dnnl_primitive_desc_t chain_forward_of(bare_chain *self, int index, desc weights);
dnnl_primitive_desc_t chain_data_of(bare_chain *self, int index, desc weights,
                                    const_dnnl_primitive_desc_t hint);
dnnl_primitive_desc_t chain_weights_of(bare_chain *self, int index, desc weights,
                                       const_dnnl_primitive_desc_t hint);

/* --- bare_chain_build.c */

void chain_build(bare_chain *self);

#endif
