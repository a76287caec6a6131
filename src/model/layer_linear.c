/* A linear layer with a bias and an activation. An image is flattened in [h, w, c] order. */
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

static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    const graph *graph = to->graph; /* a flattened tensor lies in [h, w, c] order */
    linear_shape shape = {
        .n = to->n,
        .in_features = (int)graph_tensor_elements(&graph->tensors[to->layer->inputs[0]]),
        .out_features = graph->tensors[to->layer->output].channels,
        .type = precision_type(to->precision),
        .tf32 = to->precision == PRECISION_TF32,
        .activation = to->layer->activation,
        .need_dx = to->need_dx,
        .relu_input = is_handed_on(graph, &graph->tensors[to->layer->inputs[0]]),
        .masked_by_reader = is_handed_on(graph, &graph->tensors[to->layer->output])};
    return op_prepare(to->device, &op_linear, &shape, to->like, out, error);
}

static work work_of(const graph *graph, const graph_layer *layer, layer_pass_kind pass, int n,
                    dtype type) {
    return work_of_product(graph, layer, pass, n, type, n);
}

static const layer_interface layer_linear = {
    .kind = "linear",
    .backward_reads_input = true,
    .has_factors = true,
    .prepare = prepare,
    .work = work_of,
};

int graph_linear(graph *self, const char *name, int input, int out_features,
                 activation activation) {
    graph_layer *layer = graph_begin_layer(self, &layer_linear, name, &input, 1, 0);
    if (!layer)
        return 0;
    graph_tensor *x = &self->tensors[input];
    x->flattened = true;
    layer->activation = activation;
    if (x->kind == TENSOR_TOKENS)
        ls_fail(&self->error, LS_FAILED, "model: %s: a linear layer expects an image or a vector",
                name);
    graph_give_weight_and_bias(self, layer, (int[]){out_features, (int)graph_tensor_elements(x)},
                               2);
    return graph_end_layer(self, layer, vector_of(out_features));
}
