/* A linear layer with a bias and an activation. An image is flattened in [h, w, c] order; of tokens
 * each is a row. */
#include "device/kinds/linear.h"
#include "model/layer.h"
#include "model/layers.h"

static const layer_interface layer_linear;

/* A tensor that one linear layer makes, with a ReLU, and another alone reads. */
static bool is_handed_on(const graph *graph, const graph_tensor *tensor) {
    return tensor->producer >= 0 && tensor->activation == ACTIVATION_RELU &&
           tensor->use_count == 1 && graph->layers[tensor->producer].is == &layer_linear &&
           graph->layers[tensor->uses[0]].is == &layer_linear;
}

static int in_features_of(const graph_tensor *x) {
    return (int)(graph_tensor_elements(x) / (size_t)x->tokens);
}

static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    const graph *graph = to->graph; /* a flattened tensor lies in [h, w, c] order */
    linear_shape shape = {.n = to->n * graph->tensors[to->layer->inputs[0]].tokens,
                          .in_features = in_features_of(&graph->tensors[to->layer->inputs[0]]),
                          .out_features = graph->tensors[to->layer->output].channels,
                          .type = precision_type(to->precision),
                          .tf32 = to->precision == PRECISION_TF32,
                          .activation = to->layer->activation,
                          .need_dx = to->need_dx,
                          .relu_input = is_handed_on(graph, &graph->tensors[to->layer->inputs[0]]),
                          .masked_by_reader =
                              is_handed_on(graph, &graph->tensors[to->layer->output])};
    return op_prepare(to->device, &op_linear, &shape, to->like, out, error);
}

static work work_of(const graph *graph, const graph_layer *layer, layer_pass_kind pass, int n,
                    dtype type) {
    double rows = (double)n * graph->tensors[layer->output].tokens;
    return work_of_product(graph, layer, pass, n, type, rows);
}

static const layer_interface layer_linear = {
    .kind = "linear",
    .backward_reads_input = true,
    .has_factors = true,
    .prepare = prepare,
    .work = work_of,
};

/* Gradients of tokens are not gathered as factors: these are longer than the gradient itself. */
static const layer_interface layer_linear_tokens = {
    .kind = "linear",
    .backward_reads_input = true,
    .inputs_come_apart = true,
    .prepare = prepare,
    .work = work_of,
};

static const layer_interface layer_linear_gelu = {
    .kind = "linear",
    .backward_reads_input = true,
    .inputs_come_apart = true,
    .masks_itself = true,
    .prepare = prepare,
    .work = work_of,
};

static const layer_interface *interface_for(const graph_tensor *x, activation activation) {
    if (activation_is_gelu(activation))
        return &layer_linear_gelu;
    return x->kind == TENSOR_TOKENS ? &layer_linear_tokens : &layer_linear;
}

/* NULL after a mistake. */
static graph_layer *begin(graph *self, const char *name, int input, activation activation) {
    if (self->error.code != LS_OK)
        return NULL;
    graph_tensor *x = &self->tensors[input];
    graph_layer *layer = graph_begin_layer(self, interface_for(x, activation), name, &input, 1, 0);
    if (!layer)
        return NULL;
    x->flattened = true;
    layer->activation = activation;
    return layer;
}

static int end(graph *self, graph_layer *layer, int out_features) {
    const graph_tensor *x = &self->tensors[layer->inputs[0]];
    return graph_end_layer(self, layer,
                           x->kind == TENSOR_TOKENS ? tokens_of(x->tokens, out_features)
                                                    : vector_of(out_features));
}

int graph_linear(graph *self, const char *name, int input, int out_features,
                 activation activation) {
    graph_layer *layer = begin(self, name, input, activation);
    if (!layer)
        return 0;
    graph_give_weight_and_bias(self, layer,
                               (int[]){out_features, in_features_of(&self->tensors[input])}, 2);
    return end(self, layer, out_features);
}

int graph_patch_linear(graph *self, const char *name, int input, int out_features, int side) {
    graph_layer *layer = begin(self, name, input, ACTIVATION_NONE);
    if (!layer)
        return 0;
    int pixels = side * side, features = in_features_of(&self->tensors[input]);
    if (features % pixels)
        ls_fail(&self->error, LS_FAILED, "model: %s: tokens of %d are no patches of %d x %d", name,
                features, side, side);
    graph_give_weight_and_bias(self, layer, (int[]){out_features, side, side, features / pixels},
                               4);
    return end(self, layer, out_features);
}
