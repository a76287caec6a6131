/* A network prepared for one batch size (the model room's own). Moments for the arena: forward of
 * layer l is l, the loss is L, backward of layer l is 2L - l. */
#ifndef LOCKSTEP_MODEL_PASS_H
#define LOCKSTEP_MODEL_PASS_H

#include "model/arena.h"
#include "model/layer.h"
#include "model/network.h"

/* A layer prepared for one batch size. */
typedef struct layer_pass {
    const graph_layer *layer;
    plan *plan;
    /* All but the stream and what a unit has: set when the pass is laid out. */
    op_arguments at;
    void *dy;        /* at.dy, to be written */
    size_t elements; /* of y, for the whole batch */
    bool dy_masked;  /* this layer's own ReLU's mask was applied by its reader */
    /* The layer whose bias's gradient this one's backward adds up (op_arguments.dx_sums), and the
     * other way round: the reader that does so for this one; NULL: none. */
    const graph_layer *sums_for, *summed_by;
    /* Buffers of the arena; -1: none. */
    int saved;
    int extra_gradient[OP_INPUTS]; /* where a tensor used before writes its gradient */
} layer_pass;

struct pass {
    int n;
    layer_pass *layers; /* [layer_count] */
    /* Buffers of the arena: per tensor its activation and gradient, per layer what it saves, per
     * extra use of a tensor a gradient of its own, and the workspace. Index -1: none. */
    arena_buffer *buffers;
    int buffer_count;
    int *activation, *gradient; /* [tensor_count] */
    int workspace;
    size_t arena_bytes, workspace_bytes;
    void *input, *logits, *logits_gradient;
};

/* Plans for batch n, lifetimes and offsets; no memory yet. `like`: another pass, or NULL. */
int pass_create(const graph *graph, device *device, precision precision,
                const tensor_layout *layouts, int n, const pass *like, pass **out, ls_error *error);
/* Points everything into the arena, but the input, which lies outside it. */
void pass_place(pass *self, const graph *graph, char *arena);
void pass_place_input(pass *self, const graph *graph, void *input);
void pass_destroy(pass *self, int layer_count); /* NULL is fine */

#endif
