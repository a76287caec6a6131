/* Layer normalisation of tokens, or of a vector, over its channels. */
#include "device/kinds/layernorm.h"
#include "model/layer.h"
#include "model/layers.h"

typedef struct layernorm_settings {
    double epsilon;
} layernorm_settings;

static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    const graph_tensor *x = &to->graph->tensors[to->layer->inputs[0]];
    const layernorm_settings *settings = to->layer->settings;
    layernorm_shape shape = {.rows = (int64_t)to->n * x->tokens,
                             .channels = x->channels,
                             .type = precision_type(to->precision),
                             .epsilon = settings->epsilon};
    return op_prepare(to->device, &op_layernorm, &shape, to->like, out, error);
}

/* Of backward all is counted with the parameters' gradients: one pass over x and dy serves both. */
static work work_of(const graph *graph, const graph_layer *layer, layer_pass_kind pass, int n,
                    dtype type) {
    double values = (double)graph_tensor_elements(&graph->tensors[layer->output]) * n;
    double bytes = (double)dtype_bytes(type) * values;
    switch (pass) {
    case PASS_FORWARD:
        return (work){0, 2 * bytes};
    case PASS_BACKWARD_WEIGHTS:
        return (work){0, 3 * bytes};
    case PASS_BACKWARD_DATA:
        break;
    }
    return (work){0};
}

/* What the shape of a plan does not show. */
static void describe(const graph_layer *layer, text_buffer *out) {
    const layernorm_settings *settings = layer->settings;
    text_add(out, "epsilon %g", settings->epsilon);
}

static const layer_interface layer_layernorm = {
    .kind = "layernorm",
    .backward_reads_input = true,
    .describe = describe,
    .prepare = prepare,
    .work = work_of,
};

int graph_layernorm(graph *self, const char *name, int input, double epsilon) {
    graph_layer *layer =
        graph_begin_layer(self, &layer_layernorm, name, &input, 1, sizeof(layernorm_settings));
    if (!layer)
        return 0;
    const graph_tensor x = self->tensors[input];
    *(layernorm_settings *)layer->settings = (layernorm_settings){epsilon};
    if (x.kind == TENSOR_IMAGE)
        ls_fail(&self->error, LS_FAILED, "model: %s: a layer norm expects tokens or a vector",
                name);
    graph_parameter weight = {.name = "weight",
                              .dims = {x.channels},
                              .dim_count = 1,
                              .initialiser = {INITIALISE_CONSTANT, 1},
                              .trained = true};
    graph_parameter bias = {.name = "bias", .dims = {x.channels}, .dim_count = 1, .trained = true};
    graph_give(self, layer, &weight);
    graph_give(self, layer, &bias);
    return graph_end_layer(self, layer,
                           x.kind == TENSOR_TOKENS ? tokens_of(x.tokens, x.channels)
                                                   : vector_of(x.channels));
}

double graph_layernorm_epsilon(const graph *self) {
    for (int layer = 0; layer < self->layer_count; layer++)
        if (self->layers[layer].is == &layer_layernorm)
            return ((const layernorm_settings *)self->layers[layer].settings)->epsilon;
    return 0;
}

int graph_set_layernorm_epsilon(graph *self, double epsilon, ls_error *error) {
    if (epsilon == 0)
        return LS_OK;
    if (graph_layernorm_epsilon(self) == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "the weights have layer norms with an epsilon of %g, the model has none",
                       epsilon);
    for (int layer = 0; layer < self->layer_count; layer++)
        if (self->layers[layer].is == &layer_layernorm)
            ((layernorm_settings *)self->layers[layer].settings)->epsilon = epsilon;
    return LS_OK;
}
