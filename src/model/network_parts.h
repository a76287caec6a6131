/* What a network is made of (the model room's own). */
#ifndef LOCKSTEP_MODEL_NETWORK_PARTS_H
#define LOCKSTEP_MODEL_NETWORK_PARTS_H

#include "model/network.h"
#include "model/pass.h"

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
    recompute recompute;
    dtype type;             /* of activations */
    tensor_layout *layouts; /* [tensor_count] */
    pass **passes;
    int pass_count;
    void **packed; /* [record_count]: where each parameter's packed copy lies, or NULL */
    void **left;   /* [record_count]: where its gradient is left (plan.left), or NULL */
    bool leaves;   /* network_leave_gradients was called */
    char *arena;
    size_t arena_bytes;
    void *inputs[NETWORK_MAX_INPUTS]; /* of the largest pass */
    int input_count;
    network **others; /* [lane_count - 1]: the networks of the further lanes; NULL: not split */
    int lane_count;   /* 0: not split */
    int room;         /* samples behind a pass's, in its input */
    gathered_plan *gathered;
    int gathered_count;
    void *gathered_workspace; /* all gathered plans share it; NULL: none needs any */
    size_t gathered_workspace_bytes;
};

/* The plan of the leading pass that computes with a parameter (a record of the graph), and packs
 * it. NULL: there is none, or it is not trained. */
plan *network_plan_of(const network *self, int record);
/* The pass whose plans decide how weights are packed: the first that has plans. NULL: none has. */
pass *network_leading_pass(const network *self);

#endif
