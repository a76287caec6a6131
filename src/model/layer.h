/* A kind of layer: how it is built, which op it prepares for a batch of n, what a pass of it costs.
 * One file a kind (layer_KIND.c), ended by its interface and its builder (layers.h). */
#ifndef LOCKSTEP_MODEL_LAYER_H
#define LOCKSTEP_MODEL_LAYER_H

#include "base/text_buffer.h"
#include "device/ops.h"
#include "model/graph.h"
#include "model/work.h"

/* What a layer is prepared for. */
typedef struct layer_setting {
    const graph *graph;
    const graph_layer *layer;
    device *device;
    int n;
    precision precision;
    tensor_layout in_layout, out_layout; /* of the inputs, which agree, and of the output */
    bool need_dx;
    const plan *like; /* of the same layer at another n, or NULL */
} layer_setting;

struct layer_interface {
    const char *kind; /* "conv2d" */
    /* True where backward of this kind applies the ReLU mask of its input's producer on its way. */
    bool masks_input;
    /* True where backward of this kind applies the mask of its own ReLU, if nobody did. */
    bool masks_itself;
    /* True where forward's input (x) or output (y) is read again in backward. */
    bool backward_reads_input, backward_reads_output;
    /* True where backward_parameters writes no dx and backward_inputs reads no x, so that dx may
     * lie where x lay. */
    bool inputs_come_apart;
    /* True where the gradient of each input is dy itself, where no activation is applied: it may
     * lie there (op_arguments.dx == dy). */
    bool hands_gradient_on;
    /* True where the weight gradient is dy [n, out] transposed times x [n, in]. */
    bool has_factors;
    /* True where the layer's last parameter is a bias that is added to each output of its channel,
     * so that its gradient is dy added up over all else, and where the op takes none
     * (op_arguments). */
    bool has_summed_bias;
    /* True where an image may lie as LAYOUT_NHWC_PADDED, on a device that chooses that. */
    bool takes_padded_input;
    /* PyTorch's module of this kind has one more tensor, behind its others: num_batches_tracked. */
    bool counts_batches;
    /* Where the op sums over its batch (op_arguments.sums): how many values at once, in forward and
     * in backward_parameters; NULL: it does not. */
    size_t (*summed)(const graph *graph, const graph_layer *layer);
    /* Adds what it computes with beside shapes and type, for its plans' text and id; NULL: nothing.
     */
    void (*describe)(const graph_layer *layer, text_buffer *out);
    /* The op's parameters and buffers are the layer's records in their order. */
    int (*prepare)(const layer_setting *setting, plan **out, ls_error *error);
    /* What a pass cannot avoid to do (model/work.h); all zero where the layer has no such pass. */
    work (*work)(const graph *graph, const graph_layer *layer, layer_pass_kind pass, int n,
                 dtype type);
};

/* --- for builders */

/* A layer that reads `inputs`, with zeroed settings of so many bytes; valid until the next layer is
 * begun. NULL after a mistake. */
graph_layer *graph_begin_layer(graph *self, const layer_interface *is, const char *name,
                               const int *inputs, int input_count, size_t settings_bytes);
/* Gives the layer what `wanted` says: name (the tensor's own), dims, initialiser, trained, decays.
 */
void graph_give(graph *self, graph_layer *layer, const graph_parameter *wanted);
/* A weight of such dims [out, ...] and a bias [out], as PyTorch begins them: uniform in
 * +-1/sqrt(fan_in), where fan_in is the product of the other dims. */
void graph_give_weight_and_bias(graph *self, graph_layer *layer, const int *dims, int dim_count);
/* Returns the output of such a shape; the layer's activation is its. */
int graph_end_layer(graph *self, graph_layer *layer, graph_tensor shape);

/* How many windows of `window` begin every `stride` in `size` with `padding` on either side: the
 * last may end before the end. 0: none fits. */
static inline int windows_in(int size, int window, int stride, int padding) {
    int rest = size + 2 * padding - window;
    return rest < 0 ? 0 : rest / stride + 1;
}

static inline graph_tensor image_of(int height, int width, int channels) {
    return (graph_tensor){
        .kind = TENSOR_IMAGE, .height = height, .width = width, .tokens = 1, .channels = channels};
}
static inline graph_tensor tokens_of(int tokens, int channels) {
    return (graph_tensor){
        .kind = TENSOR_TOKENS, .height = 1, .width = 1, .tokens = tokens, .channels = channels};
}
static inline graph_tensor vector_of(int channels) {
    return (graph_tensor){
        .kind = TENSOR_VECTOR, .height = 1, .width = 1, .tokens = 1, .channels = channels};
}

#endif
