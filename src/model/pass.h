/* A network prepared for one batch size (the model room's own). Moments for the arena: forward of
 * layer l is l, the loss is L, backward of layer l is 2L - l. */
#ifndef LOCKSTEP_MODEL_PASS_H
#define LOCKSTEP_MODEL_PASS_H

#include "model/arena.h"
#include "model/layer.h"
#include "model/network.h"

struct pass {
    int n;
    layer_pass layers[GRAPH_MAX_LAYERS];
    /* Buffers of the arena: per tensor its activation and gradient, per layer what it saves, per
     * extra use of a tensor a gradient of its own, and the workspace. Index -1: none. */
    arena_buffer *buffers;
    int buffer_count;
    int activation[GRAPH_MAX_TENSORS], gradient[GRAPH_MAX_TENSORS], saved[GRAPH_MAX_LAYERS];
    int extra_gradient[GRAPH_MAX_LAYERS][2]; /* where a tensor used before writes its gradient */
    int workspace;
    size_t arena_bytes, workspace_bytes;
    void *workspace_memory, *input, *logits, *logits_gradient;
};

/* Plans for batch n, lifetimes and offsets; no memory yet. `like`: another pass, or NULL. */
int pass_create(const graph *graph, device *device, precision precision,
                const tensor_layout *layouts, int n, const pass *like, pass **out, ls_error *error);
/* Points everything into the arena, but the input, which lies outside it. */
void pass_place(pass *self, const graph *graph, char *arena);
void pass_place_input(pass *self, const graph *graph, void *input);
void pass_destroy(pass *self, device *device, int layer_count);

#endif
