/* A network prepared for one batch size (the model room's own). When each pass of a layer is run,
 * for the arena: model/recompute.h. */
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
    /* The same in backward, where what is made again lies elsewhere. */
    op_arguments back;
    void *dy;        /* back.dy, to be written */
    size_t elements; /* of y, for the whole batch */
    bool dy_masked;  /* this layer's own ReLU's mask was applied by its reader */
    /* The layer whose bias's gradient this one's backward adds up (op_arguments.dx_sums), and the
     * other way round: the reader that does so for this one; NULL: none. */
    const graph_layer *sums_for, *summed_by;
    /* The layer before whose backward forward is run again; -1: y is kept, or nobody reads it.
     * from_saved: of what forward has saved (op.again). saves_again: what it saves is made again
     * too. */
    int again_before;
    bool from_saved, saves_again;
    /* The unit that the walk comes to before what is run again; -1: none. Its own layer's backward
     * then comes to none (comes_early). */
    int comes_to;
    bool comes_early;
    int first_again; /* of those that are run again before this one's backward, the first */
    int again_at, backward_at; /* moments */
    /* Buffers of the arena; -1: none. saved_again: in backward, where it is another one. */
    int saved, saved_again;
    int extra_gradient[OP_INPUTS]; /* where a tensor used before writes its gradient */
} layer_pass;

struct pass {
    int n;
    layer_pass *layers; /* [layer_count] */
    /* Buffers of the arena: per tensor its activation and gradient, per layer what it saves, per
     * extra use of a tensor a gradient of its own, and the workspace. Index -1: none. */
    arena_buffer *buffers;
    int buffer_count;
    /* [tensor_count]; activation_again: in backward, where that is another one. */
    int *activation, *activation_again, *gradient;
    int workspace;
    size_t arena_bytes, workspace_bytes;
    void *input, *logits, *logits_gradient;
};

typedef struct pass_setting {
    const graph *graph;
    device *device;
    precision precision;
    const tensor_layout *layouts; /* [tensor_count] */
    recompute recompute;
    const pass *like; /* another pass, or NULL */
} pass_setting;

/* Plans for batch n, lifetimes and offsets; no memory yet. */
int pass_create(const pass_setting *setting, int n, pass **out, ls_error *error);
/* Points everything into the arena, but the input, which lies outside it. */
void pass_place(pass *self, const graph *graph, char *arena);
void pass_place_input(pass *self, const graph *graph, void *input);
void pass_destroy(pass *self, int layer_count); /* NULL is fine */

#endif
