/* Max pooling. */
#include "device/kinds/maxpool2d.h"
#include "model/layer.h"
#include "model/layers.h"

typedef struct maxpool2d_settings {
    int window, stride, padding;
} maxpool2d_settings;

static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    const graph_tensor *x = &to->graph->tensors[to->layer->inputs[0]];
    const maxpool2d_settings *settings = to->layer->settings;
    maxpool2d_shape shape = {.n = to->n,
                             .height = x->height,
                             .width = x->width,
                             .channels = x->channels,
                             .window = settings->window,
                             .stride = settings->stride,
                             .padding = settings->padding,
                             .in_layout = to->in_layout,
                             .out_layout = to->out_layout,
                             .type = precision_type(to->precision),
                             .relu_input = x->activation == ACTIVATION_RELU && x->use_count == 1};
    return op_prepare(to->device, &op_maxpool2d, &shape, to->like, out, error);
}

static const layer_interface layer_maxpool2d = {
    .kind = "maxpool2d",
    .masks_input = true,
    .backward_reads_output = true,
    .prepare = prepare,
    .work = work_of_elements,
};

int graph_maxpool2d(graph *self, const char *name, int input, int window, int stride, int padding) {
    graph_layer *layer =
        graph_begin_layer(self, &layer_maxpool2d, name, &input, 1, sizeof(maxpool2d_settings));
    if (!layer)
        return 0;
    const graph_tensor x = self->tensors[input];
    *(maxpool2d_settings *)layer->settings = (maxpool2d_settings){window, stride, padding};
    if (x.kind != TENSOR_IMAGE)
        ls_fail(&self->error, LS_FAILED, "model: %s: pooling expects an image", name);
    return graph_end_layer(self, layer,
                           image_of(windows_in(x.height, window, stride, padding),
                                    windows_in(x.width, window, stride, padding), x.channels));
}
