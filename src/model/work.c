#include "model/work.h"

#include "model/layer.h"

static double elements(const graph *graph, int tensor, int n) {
    return (double)graph_tensor_elements(&graph->tensors[tensor]) * n;
}

static double input_elements(const graph *graph, const graph_layer *layer, int n) {
    double sum = 0;
    for (int input = 0; input < layer->input_count; input++)
        sum += elements(graph, layer->inputs[input], n);
    return sum;
}

/* Those of a layer's inputs whose gradient is wanted. */
static double gradient_elements(const graph *graph, const graph_layer *layer, int n) {
    double sum = 0;
    for (int input = 0; input < layer->input_count; input++)
        if (graph->tensors[layer->inputs[input]].wants_gradient)
            sum += elements(graph, layer->inputs[input], n);
    return sum;
}

/* Elements of a layer's weights, its first parameter; 0 where it has none. */
static double weights_of(const graph *graph, const graph_layer *layer) {
    return layer->unit < 0 ? 0 : (double)graph->parameters[layer->first_record].count;
}

work work_of_product(const graph *graph, const graph_layer *layer, layer_pass_kind pass, int n,
                     dtype type, double positions) {
    double e = (double)dtype_bytes(type), weights = weights_of(graph, layer);
    double x = input_elements(graph, layer, n), y = elements(graph, layer->output, n);
    double dx = gradient_elements(graph, layer, n);
    double output_again = layer->is->backward_reads_output ? y : 0;
    double flop = 2 * positions * weights;
    switch (pass) {
    case PASS_FORWARD:
        return (work){flop, e * (x + weights + y)};
    case PASS_BACKWARD_DATA:
        return dx > 0 ? (work){flop, e * (y + output_again + weights + dx)} : (work){0};
    case PASS_BACKWARD_WEIGHTS:
        return weights > 0 ? (work){flop, e * (x + y) + 4 * weights} : (work){0};
    }
    return (work){0};
}

work work_of_elements(const graph *graph, const graph_layer *layer, layer_pass_kind pass, int n,
                      dtype type) {
    return work_of_product(graph, layer, pass, n, type, 0);
}

work layer_work(const graph *graph, int index, layer_pass_kind pass, int n, dtype type) {
    const graph_layer *layer = &graph->layers[index];
    return layer->is->work(graph, layer, pass, n, type);
}

work data_work(const graph *graph, int n, dtype type) {
    return (work){0, (1.0 + (double)dtype_bytes(type)) * elements(graph, 0, n)};
}

work loss_work(const graph *graph, int n, dtype type) {
    return (work){0, 2.0 * (double)dtype_bytes(type) * elements(graph, graph->output, n)};
}

work optimizer_work(const graph *graph, int moments, dtype type) {
    double packed = 0;
    for (int layer = 0; layer < graph->layer_count && type != DTYPE_F32; layer++)
        packed += (double)dtype_bytes(type) * weights_of(graph, &graph->layers[layer]);
    return (work){0, 4.0 * (3 + 2 * moments) * (double)graph->parameter_count + packed};
}
