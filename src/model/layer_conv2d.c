/* A convolution with a bias and an activation. */
#include "device/kinds/conv2d.h"
#include "model/layer.h"
#include "model/layers.h"

typedef struct conv2d_settings {
    int out_channels, kernel, stride, padding;
} conv2d_settings;

static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    const graph_tensor *x = &to->graph->tensors[to->layer->inputs[0]];
    const conv2d_settings *settings = to->layer->settings;
    conv2d_shape shape = {.n = to->n,
                          .height = x->height,
                          .width = x->width,
                          .in_channels = x->channels,
                          .out_channels = settings->out_channels,
                          .kernel = settings->kernel,
                          .stride = settings->stride,
                          .padding = settings->padding,
                          .in_layout = to->in_layout,
                          .out_layout = to->out_layout,
                          .type = precision_type(to->precision),
                          .tf32 = to->precision == PRECISION_TF32,
                          .activation = to->layer->activation,
                          .need_dx = to->need_dx};
    return op_prepare(to->device, &op_conv2d, &shape, to->like, out, error);
}

/* Each weight meets each output pixel of its channel once. */
static work work_of(const graph *graph, const graph_layer *layer, layer_pass_kind pass, int n,
                    dtype type) {
    const graph_tensor *y = &graph->tensors[layer->output];
    return work_of_product(graph, layer, pass, n, type, (double)n * y->height * y->width);
}

static const layer_interface layer_conv2d = {
    .kind = "conv2d",
    .backward_reads_input = true,
    .takes_padded_input = true,
    .has_summed_bias = true,
    .prepare = prepare,
    .work = work_of,
};

int graph_conv2d(graph *self, const char *name, int input, int out_channels, int kernel, int stride,
                 int padding, activation activation) {
    graph_layer *layer =
        graph_begin_layer(self, &layer_conv2d, name, &input, 1, sizeof(conv2d_settings));
    if (!layer)
        return 0;
    const graph_tensor x = self->tensors[input];
    *(conv2d_settings *)layer->settings = (conv2d_settings){out_channels, kernel, stride, padding};
    layer->activation = activation;
    if (x.kind != TENSOR_IMAGE)
        ls_fail(&self->error, LS_FAILED, "model: %s: a convolution expects an image", name);
    graph_give_weight_and_bias(self, layer, (int[]){out_channels, kernel, kernel, x.channels}, 4);
    return graph_end_layer(self, layer,
                           image_of((x.height + 2 * padding - kernel) / stride + 1,
                                    (x.width + 2 * padding - kernel) / stride + 1, out_channels));
}
