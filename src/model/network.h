/* A graph on a device: one planned arena of activations, and a pass (plans and memory) for each
 * batch size that occurs, all made before the first step.
 *
 * The network keeps no pointer to parameters: each forward and backward asks its hooks (the mode)
 * for a unit's parameters when it gets there, and tells them when a unit's gradient is ready. */
#ifndef LOCKSTEP_MODEL_NETWORK_H
#define LOCKSTEP_MODEL_NETWORK_H

#include "base/text_buffer.h"
#include "device/ops.h"
#include "model/graph.h"

typedef struct network network;
typedef struct pass pass;

/* What a mode does at each unit, in the order of the walk. All but `parameters` and `gradient` may
 * be NULL. A unit's block is its layer's trained parameters one after the other (graph.units),
 * device memory, fp32. */
typedef struct network_hooks {
    void *context;
    /* Where the unit's parameters are for this use; valid until `released`. */
    int (*parameters)(void *context, int unit, const float **out, ls_error *error);
    int (*released)(void *context, int unit, ls_error *error);
    /* Where backward computes a layer's output again, which was not kept, `parameters` is asked
     * once more, after the walk has come to the unit that is next in backward, and `released` is
     * not called for it. */
    /* The walk comes to this unit now: before its `parameters`. Units come in their order, or in
     * backward the other way round, each once, so that a mode that shards parameters knows which
     * are next: it begins here what brings them into slots, and waits for it in `parameters`. */
    int (*comes_to)(void *context, int unit, bool backward, ls_error *error);
    /* Where backward writes the unit's gradient. Asked for once more before its turn, with the same
     * answer, where the layer that reads the unit's output makes the gradient of its bias. */
    int (*gradient)(void *context, int unit, float **out, ls_error *error);
    int (*gradient_ready)(void *context, int unit, ls_error *error);
    /* The flat array of the graph's buffers [buffer_count], which forward of training writes; NULL
     * only where the graph has none. */
    int (*buffers)(void *context, float **out, ls_error *error);
    /* Backward has written the unit's gradient and reads its parameters no more. */
    int (*backward_done)(void *context, int unit, ls_error *error);
    /* Called after each primitive of forward and backward: progress of communication on devices
     * where nothing else makes it. */
    int (*between)(void *context, ls_error *error);
    /* Of a unit that has factors (graph_unit_factors): the mode forms its gradient itself. Forward
     * then tells it the unit's input x [n, in] as soon as that is there, backward the gradient of
     * its output, masked, dy [n, out], and computes no weight gradient; `gradient` and
     * `gradient_ready` are not called. Both memories are the pass's: valid until it writes there
     * again, in stream order (x until this unit's backward, dy until the call returns). A pass of
     * 0 samples calls both with NULL. */
    bool (*takes_factors)(void *context, int unit);
    int (*input_ready)(void *context, int unit, const void *x, ls_error *error);
    int (*delta_ready)(void *context, int unit, const void *dy, ls_error *error);
    /* Of a batch that other ranks have parts of: handed to each op of training; a pass of 0 samples
     * joins in where its layer says that it sums. NULL: an op's batch is its own. */
    const op_sums *sums;
    /* Of training's batch at hand: handed to each op of training. NULL: only in a network that
     * draws nothing. */
    const op_draws *draws;
    bool quiet; /* no named ranges: they belong to another thread */
} network_hooks;

/* What of the activations is not kept for backward but computed again in it: nothing; what costs
 * next to nothing (plan.again: a layer norm's output, a GELU's); or all that is inside a block of
 * the graph, and outside of them what is cheap (Chen et al., "Training Deep Nets with Sublinear
 * Memory Cost", 2016). The same bits. */
typedef enum { RECOMPUTE_NONE, RECOMPUTE_CHEAP, RECOMPUTE_BLOCK } recompute;
#define RECOMPUTE_CHOICES "none|cheap|block"
recompute recompute_of(const char *name); /* of these; NULL: cheap */

/* The graph must outlive the network; the device too. */
int network_create(const graph *graph, device *device, precision precision, network **out,
                   ls_error *error);
/* Before the first network_split or network_prepare; without it RECOMPUTE_CHEAP. */
void network_recompute(network *self, recompute wanted);
dtype network_type(const network *self); /* of activations */
void network_destroy(network *self);     /* NULL is fine; passes go with it */

/* Makes `count` networks of one, before the first network_prepare: for the lanes of a batch that
 * this rank computes. They share the packed weights, and what is prepared or sealed of the first
 * is of all; each has plans and activations of its own, so that several threads can run one each.
 * Their plans use one compute thread. */
int network_split(network *self, int count, ls_error *error);
network *network_lane(network *self, int lane); /* lane 0 is `self` */

/* The pass for a batch of n (made on first use, out of the hot loop). n = 0: a pass that does
 * nothing but call the hooks of backward with zero gradients. */
int network_prepare(network *self, int n, ls_error *error);
/* Passes' inputs get room for so many samples behind their own. Before network_seal; of all lanes.
 */
void network_give_room(network *self, int samples);
/* Allocates the arena for all prepared passes. After it, network_prepare is refused. */
int network_seal(network *self, ls_error *error);
pass *network_pass(network *self, int n);            /* NULL when not prepared */
size_t network_arena_bytes(const network *self);     /* what network_seal allocates for batches */
size_t network_workspace_bytes(const network *self); /* in it: scratch of the plans */
size_t network_gathered_bytes(const network *self);  /* beside it: scratch for gathered rows */

/* Packed copies of parameters, as the plans want them, lie where their owner (a mode's store) says,
 * for all lanes: by record of the graph, device memory; between its uses. 0 bytes: there is none.
 * Their contents follow by network_pack, or by an update (network_ranges). */
size_t network_packed_bytes(const network *self, int record);
/* Bytes of an element of the copy, where it is the parameter rounded, in order (op_packed); 0. */
size_t network_packed_element(const network *self, int record);
void network_place_packed(network *self, int record, void *memory);
bool network_is_packed(const network *self); /* any was placed */

/* Where a pass reads its batch. On an asynchronous device there are two such places, so that the
 * next batch can be made in one while a pass reads the other; elsewhere both are one. `which`: 0
 * or 1; a pass begins with 0. */
enum { NETWORK_MAX_INPUTS = 2 };
void *network_input(const network *self, int which);
void network_take_input(const network *self, pass *pass, int which);

/* The pass's ends, in device memory. */
void *pass_input(pass *pass); /* [n, h, w, c] in network_input_layout */
tensor_layout network_input_layout(const network *self);
size_t network_input_elements(const network *self); /* of a sample, in that layout */
void *pass_logits(pass *pass);                      /* [n, classes], row-major */
void *pass_logits_gradient(pass *pass); /* the same; written by whoever computes the loss */

/* training: a backward follows; false: an evaluation. */
int network_forward(network *self, pass *pass, bool training, device_stream *stream,
                    const network_hooks *hooks, ls_error *error);
int network_backward(network *self, pass *pass, device_stream *stream, const network_hooks *hooks,
                     ls_error *error);

/* The most values that an op of the graph adds up at once where the hooks have `sums`; 0: none
 * does.
 */
size_t graph_most_sums(const graph *graph);

/* One layer of it (0 .. layer_count-1 in forward, the other way round in backward). */
int network_forward_layer(network *self, pass *pass, int index, bool training,
                          device_stream *stream, const network_hooks *hooks, ls_error *error);
int network_backward_layer(network *self, pass *pass, int index, device_stream *stream,
                           const network_hooks *hooks, ls_error *error);

/* A unit whose weight gradient is the product of its input and its output's gradient, summed over
 * the rows of a batch (a linear layer): true, and how long the rows of x and dy are. */
bool graph_unit_factors(const graph *graph, int unit, int64_t *in_features, int64_t *out_features);
/* A plan for such a unit's gradient over `rows` rows, and its use: x [rows, in], dy [rows, out] of
 * network_type, gradient: the unit's block, overwritten. At any time out of the hot loop. */
int network_prepare_gathered(network *self, int unit, int rows, ls_error *error);
int network_gathered_gradient(network *self, int unit, int rows, device_stream *stream,
                              const void *x, const void *dy, float *gradient, ls_error *error);

/* Releases all such plans. */
void network_forget_gathered(network *self);

/* After network_seal: from now on gradients are left as each op has them (plan.left), in memory of
 * the network's; network_ranges, called after it, says where. For a caller of whose gradients
 * nobody reads anything but the update. */
int network_leave_gradients(network *self, ls_error *error);
bool network_leaves_gradients(const network *self); /* it was called */
size_t network_left_bytes(const network *self);     /* what it allocates */

/* The ranges an optimizer updates: one a trained parameter, in flat order, with its number in
 * graph.parameters and the network's packed copy of it; without a decay, the rate as it is. Returns
 * how many (at most record_count). */
int network_ranges(network *self, parameter_range *out);

/* Refreshes the packed copy of a record, where it lies and if it has one, from its values; of a
 * unit's records, from its block. */
int network_pack_record(network *self, int record, device_stream *stream, const float *values,
                        ls_error *error);
int network_pack_unit(network *self, int unit, device_stream *stream, const float *block,
                      ls_error *error);
/* Refreshes all packed copies from parameters that came from elsewhere (initialisation, a
 * broadcast, a checkpoint). */
int network_pack(network *self, device_stream *stream, const float *parameters, ls_error *error);

/* Each parameter as its record says, random numbers from Philox of the seed: a pure function of
 * (seed, index). parameters: [parameter_count], buffers: [buffer_count], host memory. */
void network_initialise(const graph *graph, uint64_t seed, float *parameters);
/* Elements [first, first + count) of the parameters alone, into out[count]. */
void network_initialise_part(const graph *graph, uint64_t seed, size_t first, size_t count,
                             float *out);
void network_initialise_buffers(const graph *graph, uint64_t seed, float *buffers);

/* A hash over the libraries and the implementations chosen, as 16 hex digits: equal ids, equal
 * plans. */
void network_plan_id(const network *self, char out[17]);
/* Of the plans of gathered rows alone: ranks that form the same sums have the same. */
uint64_t network_gathered_hash(const network *self);
/* Adds "conv1 n=64: jit:avx512_core / - / jit:avx512_core\n" for every pass and layer, then
 * "fc1 n=128 gathered: ..." for every plan of gathered rows. */
void network_describe(const network *self, text_buffer *out);
/* Of these lines the ones with a reference implementation of a library ("ref:any"): plain code, a
 * hundred times slower and more than what it has elsewhere. */
void network_describe_references(const network *self, text_buffer *out);

#endif
