/* What training leaves out at random: elements, or all of a sample. */
#include "device/kinds/dropout.h"
#include "model/layer.h"
#include "model/layers.h"

typedef struct dropout_settings {
    double rate;
    bool whole;
    int stream; /* layers of this kind before it */
} dropout_settings;

static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    const dropout_settings *settings = to->layer->settings;
    dropout_shape shape = {.n = to->n,
                           .each = graph_tensor_elements(&to->graph->tensors[to->layer->output]),
                           .type = precision_type(to->precision),
                           .rate = settings->rate,
                           .whole = settings->whole,
                           .stream = settings->stream};
    return op_prepare(to->device, &op_dropout, &shape, to->like, out, error);
}

static const layer_interface layer_dropout = {
    .kind = "dropout",
    .prepare = prepare,
    .work = work_of_elements,
};

static int count(const graph *self) {
    int found = 0;
    for (int layer = 0; layer < self->layer_count; layer++)
        found += self->layers[layer].is == &layer_dropout;
    return found;
}

int graph_dropout(graph *self, const char *name, int input, double rate, bool whole) {
    if (rate == 0)
        return input;
    int stream = count(self);
    graph_layer *layer =
        graph_begin_layer(self, &layer_dropout, name, &input, 1, sizeof(dropout_settings));
    if (!layer)
        return 0;
    const graph_tensor x = self->tensors[input];
    *(dropout_settings *)layer->settings = (dropout_settings){rate, whole, stream};
    if (x.kind == TENSOR_IMAGE)
        ls_fail(&self->error, LS_FAILED, "model: %s: dropout expects tokens or a vector", name);
    return graph_end_layer(self, layer,
                           x.kind == TENSOR_TOKENS ? tokens_of(x.tokens, x.channels)
                                                   : vector_of(x.channels));
}
