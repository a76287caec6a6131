/* What a network is made of (the model room's own). */
#ifndef LOCKSTEP_MODEL_NETWORK_PARTS_H
#define LOCKSTEP_MODEL_NETWORK_PARTS_H

#include "model/network.h"
#include "model/pass.h"

enum { MAX_PASSES = 16 };

/* A unit's weight gradient from rows gathered over the ranks. */
typedef struct gathered_plan {
    const graph_layer *layer;
    int rows;
    plan *plan;
} gathered_plan;

struct network {
    const graph *graph;
    device *device;
    precision precision;
    dtype type; /* of activations */
    tensor_layout layouts[GRAPH_MAX_TENSORS];
    pass *passes[MAX_PASSES];
    int pass_count;
    void *packed[GRAPH_MAX_LAYERS];
    char *arena;
    size_t arena_bytes;
    void *inputs[NETWORK_MAX_INPUTS]; /* of the largest pass */
    int input_count;
    network **others; /* [lane_count - 1]: the networks of the further lanes; NULL: not split */
    int lane_count;   /* 0: not split */
    bool is_other;    /* the packed weights are the first one's */
    gathered_plan *gathered;
    int gathered_count;
    void *gathered_workspace; /* all gathered plans share it; NULL: none needs any */
    size_t gathered_workspace_bytes;
};

/* The pass whose plans decide how weights are packed: the first that has plans. NULL: none has. */
pass *network_leading_pass(const network *self);

#endif
