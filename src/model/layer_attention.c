/* Self-attention of several heads, on queries, keys and values that lie side by side. */
#include "device/kinds/attention.h"
#include "model/layer.h"
#include "model/layers.h"

typedef struct attention_settings {
    int heads;
} attention_settings;

static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    const graph_tensor *y = &to->graph->tensors[to->layer->output];
    const attention_settings *settings = to->layer->settings;
    attention_shape shape = {.n = to->n,
                             .tokens = y->tokens,
                             .heads = settings->heads,
                             .head_dim = y->channels / settings->heads,
                             .type = precision_type(to->precision)};
    return op_prepare(to->device, &op_attention, &shape, to->like, out, error);
}

/* Forward: scores, and the values that they weigh. Backward: a product for the gradient of each of
 * weights, values, queries and keys. */
static work work_of(const graph *graph, const graph_layer *layer, layer_pass_kind pass, int n,
                    dtype type) {
    const graph_tensor *y = &graph->tensors[layer->output];
    double product = 2.0 * n * y->tokens * y->tokens * y->channels;
    double bytes = (double)dtype_bytes(type) * n * (double)graph_tensor_elements(y);
    switch (pass) {
    case PASS_FORWARD:
        return (work){2 * product, 4 * bytes};
    case PASS_BACKWARD_DATA:
        return (work){4 * product, 8 * bytes};
    case PASS_BACKWARD_WEIGHTS:
        break;
    }
    return (work){0};
}

static const layer_interface layer_attention = {
    .kind = "attention",
    .backward_reads_input = true,
    .backward_reads_output = true,
    .prepare = prepare,
    .work = work_of,
};

int graph_attention(graph *self, const char *name, int input, int heads) {
    graph_layer *layer =
        graph_begin_layer(self, &layer_attention, name, &input, 1, sizeof(attention_settings));
    if (!layer)
        return 0;
    const graph_tensor x = self->tensors[input];
    *(attention_settings *)layer->settings = (attention_settings){heads};
    if (x.kind != TENSOR_TOKENS || heads < 1 || x.channels % (3 * heads))
        ls_fail(&self->error, LS_FAILED,
                "model: %s: attention expects tokens of queries, keys and values of %d heads", name,
                heads);
    return graph_end_layer(self, layer, tokens_of(x.tokens, x.channels / 3));
}
