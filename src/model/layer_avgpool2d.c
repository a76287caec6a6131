/* Global average pooling: an image becomes a vector. */
#include "device/kinds/avgpool2d.h"
#include "model/layer.h"
#include "model/layers.h"

static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    const graph_tensor *x = &to->graph->tensors[to->layer->inputs[0]];
    avgpool2d_shape shape = {.n = to->n,
                             .height = x->height,
                             .width = x->width,
                             .channels = x->channels,
                             .in_layout = to->in_layout,
                             .type = precision_type(to->precision)};
    return op_prepare(to->device, &op_avgpool2d, &shape, to->like, out, error);
}

static const layer_interface layer_avgpool2d = {
    .kind = "avgpool2d",
    .prepare = prepare,
    .work = work_of_elements,
};

int graph_avgpool2d(graph *self, const char *name, int input) {
    graph_layer *layer = graph_begin_layer(self, &layer_avgpool2d, name, &input, 1, 0);
    if (!layer)
        return 0;
    const graph_tensor x = self->tensors[input];
    if (x.kind != TENSOR_IMAGE)
        ls_fail(&self->error, LS_FAILED, "model: %s: pooling expects an image", name);
    return graph_end_layer(self, layer, vector_of(x.channels));
}
