/* Tokens become a vector: the class token, or the mean of the others. */
#include "device/kinds/tokenpool.h"
#include "model/layer.h"
#include "model/layers.h"

typedef struct tokenpool_settings {
    bool mean;
} tokenpool_settings;

static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    const graph_tensor *x = &to->graph->tensors[to->layer->inputs[0]];
    const tokenpool_settings *settings = to->layer->settings;
    tokenpool_shape shape = {.n = to->n,
                             .tokens = x->tokens,
                             .channels = x->channels,
                             .mean = settings->mean,
                             .type = precision_type(to->precision)};
    return op_prepare(to->device, &op_tokenpool, &shape, to->like, out, error);
}

static const layer_interface layer_tokenpool = {
    .kind = "tokenpool",
    .prepare = prepare,
    .work = work_of_elements,
};

int graph_tokenpool(graph *self, const char *name, int input, bool mean) {
    graph_layer *layer =
        graph_begin_layer(self, &layer_tokenpool, name, &input, 1, sizeof(tokenpool_settings));
    if (!layer)
        return 0;
    const graph_tensor x = self->tensors[input];
    *(tokenpool_settings *)layer->settings = (tokenpool_settings){mean};
    if (x.kind != TENSOR_TOKENS || x.tokens < 2)
        ls_fail(&self->error, LS_FAILED, "model: %s: pooling expects two tokens at least", name);
    return graph_end_layer(self, layer, vector_of(x.channels));
}
