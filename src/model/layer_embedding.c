/* A class token before the others, and positions added to all. */
#include "device/kinds/embedding.h"
#include "model/layer.h"
#include "model/layers.h"

static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    const graph_tensor *x = &to->graph->tensors[to->layer->inputs[0]];
    embedding_shape shape = {.n = to->n,
                             .tokens = x->tokens,
                             .channels = x->channels,
                             .type = precision_type(to->precision)};
    return op_prepare(to->device, &op_embedding, &shape, to->like, out, error);
}

static const layer_interface layer_embedding = {
    .kind = "embedding",
    .prepare = prepare,
    .work = work_of_elements,
};

int graph_embedding(graph *self, const char *name, int input) {
    graph_layer *layer = graph_begin_layer(self, &layer_embedding, name, &input, 1, 0);
    if (!layer)
        return 0;
    const graph_tensor x = self->tensors[input];
    if (x.kind != TENSOR_TOKENS)
        ls_fail(&self->error, LS_FAILED, "model: %s: an embedding expects tokens", name);
    graph_parameter token = {.name = "cls_token",
                             .whole_name = true,
                             .dims = {1, 1, x.channels},
                             .dim_count = 3,
                             .initialiser = {INITIALISE_NORMAL, 1e-6f},
                             .trained = true};
    graph_parameter positions = {.name = "pos_embed",
                                 .whole_name = true,
                                 .dims = {1, x.tokens + 1, x.channels},
                                 .dim_count = 3,
                                 .initialiser = {INITIALISE_NORMAL, 0.02f},
                                 .trained = true};
    graph_give(self, layer, &token);
    graph_give(self, layer, &positions);
    return graph_end_layer(self, layer, tokens_of(x.tokens + 1, x.channels));
}
