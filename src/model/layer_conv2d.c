/* A convolution with a bias and an activation, or with neither. */
#include "device/kinds/conv2d.h"
#include "model/layer.h"
#include "model/layers.h"

#include <math.h>

typedef struct conv2d_settings {
    int out_channels, kernel, stride, padding;
    bool unbiased;
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
                          .need_dx = to->need_dx,
                          .no_bias = settings->unbiased};
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

static const layer_interface layer_conv2d_unbiased = {
    .kind = "conv2d",
    .backward_reads_input = true,
    .takes_padded_input = true,
    .prepare = prepare,
    .work = work_of,
};

/* NULL after a mistake. */
static graph_layer *begin(graph *self, const layer_interface *is, const char *name, int input,
                          conv2d_settings settings) {
    graph_layer *layer = graph_begin_layer(self, is, name, &input, 1, sizeof settings);
    if (!layer)
        return NULL;
    *(conv2d_settings *)layer->settings = settings;
    if (self->tensors[input].kind != TENSOR_IMAGE)
        ls_fail(&self->error, LS_FAILED, "model: %s: a convolution expects an image", name);
    return layer;
}

static int end(graph *self, graph_layer *layer) {
    const graph_tensor *x = &self->tensors[layer->inputs[0]];
    const conv2d_settings *of = layer->settings;
    return graph_end_layer(self, layer,
                           image_of(windows_in(x->height, of->kernel, of->stride, of->padding),
                                    windows_in(x->width, of->kernel, of->stride, of->padding),
                                    of->out_channels));
}

int graph_conv2d(graph *self, const char *name, int input, int out_channels, int kernel, int stride,
                 int padding, activation activation) {
    graph_layer *layer = begin(self, &layer_conv2d, name, input,
                               (conv2d_settings){out_channels, kernel, stride, padding, false});
    if (!layer)
        return 0;
    layer->activation = activation;
    graph_give_weight_and_bias(
        self, layer, (int[]){out_channels, kernel, kernel, self->tensors[input].channels}, 4);
    return end(self, layer);
}

int graph_conv2d_unbiased(graph *self, const char *name, int input, int out_channels, int kernel,
                          int stride, int padding) {
    graph_layer *layer = begin(self, &layer_conv2d_unbiased, name, input,
                               (conv2d_settings){out_channels, kernel, stride, padding, true});
    if (!layer)
        return 0;
    graph_parameter weight = {
        .name = "weight",
        .dims = {out_channels, kernel, kernel, self->tensors[input].channels},
        .dim_count = 4,
        .initialiser = {INITIALISE_NORMAL, sqrtf(2.0f / (float)(out_channels * kernel * kernel))},
        .trained = true,
        .decays = true};
    graph_give(self, layer, &weight);
    return end(self, layer);
}
