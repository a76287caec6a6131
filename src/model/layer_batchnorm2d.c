/* Batch normalisation of an image, with a residual join and an activation where asked. */
#include "device/kinds/batchnorm2d.h"
#include "model/layer.h"
#include "model/layers.h"

#include <stdio.h>

static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    const graph_tensor *x = &to->graph->tensors[to->layer->inputs[0]];
    if (to->in_layout != to->out_layout)
        return ls_fail(error, LS_FAILED, "model: %s: its output has another layout than its input",
                       to->layer->name);
    batchnorm2d_shape shape = {.n = to->n,
                               .height = x->height,
                               .width = x->width,
                               .channels = x->channels,
                               .layout = to->in_layout,
                               .type = precision_type(to->precision),
                               .joins = to->layer->input_count > 1,
                               .activation = to->layer->activation,
                               .epsilon = 1e-5,
                               .momentum = 0.1};
    return op_prepare(to->device, &op_batchnorm2d, &shape, to->like, out, error);
}

/* Backward reads x[0] for both of its parts; what is added gets its gradient with the parameters'
 * and is counted with the other's. */
static work work_of(const graph *graph, const graph_layer *layer, layer_pass_kind pass, int n,
                    dtype type) {
    work out = work_of_elements(graph, layer, pass, n, type);
    if (pass == PASS_BACKWARD_DATA && out.bytes > 0)
        out.bytes += (double)dtype_bytes(type) * n *
                     (double)graph_tensor_elements(&graph->tensors[layer->inputs[0]]);
    return out;
}

static size_t summed(const graph *graph, const graph_layer *layer) {
    return batchnorm2d_sums(graph->tensors[layer->inputs[0]].channels);
}

static const layer_interface layer_batchnorm2d = {
    .kind = "batchnorm2d",
    .backward_reads_input = true,
    .masks_itself = true,
    .counts_batches = true,
    .summed = summed,
    .prepare = prepare,
    .work = work_of,
};

/* Whether a sum was positive cannot be told from x[0] alone. */
static const layer_interface layer_batchnorm2d_joining = {
    .kind = "batchnorm2d",
    .backward_reads_input = true,
    .backward_reads_output = true,
    .masks_itself = true,
    .counts_batches = true,
    .summed = summed,
    .prepare = prepare,
    .work = work_of,
};

/* A tensor of the channels. */
static graph_parameter of_channels(const char *name, int channels, float value) {
    graph_parameter out = {.dims = {channels},
                           .dim_count = 1,
                           .initialiser = {.kind = INITIALISE_CONSTANT, .value = value}};
    snprintf(out.name, sizeof out.name, "%s", name);
    return out;
}

static void give_records(graph *self, graph_layer *layer, int channels, bool ends_branch) {
    graph_parameter weight = of_channels("weight", channels, 1);
    graph_parameter bias = of_channels("bias", channels, 0);
    graph_parameter mean = of_channels("running_mean", channels, 0);
    graph_parameter variance = of_channels("running_var", channels, 1);
    weight.trained = bias.trained = true;
    weight.scales_branch = ends_branch;
    graph_give(self, layer, &weight);
    graph_give(self, layer, &bias);
    graph_give(self, layer, &mean);
    graph_give(self, layer, &variance);
}

static bool same_image(const graph_tensor *a, const graph_tensor *b) {
    return a->kind == b->kind && a->height == b->height && a->width == b->width &&
           a->channels == b->channels;
}

int graph_batchnorm2d(graph *self, const char *name, int input, int added, activation activation) {
    bool joins = added >= 0;
    const layer_interface *is =
        joins && activation != ACTIVATION_NONE ? &layer_batchnorm2d_joining : &layer_batchnorm2d;
    graph_layer *layer = graph_begin_layer(self, is, name, (int[]){input, added}, joins ? 2 : 1, 0);
    if (!layer)
        return 0;
    const graph_tensor x = self->tensors[input];
    layer->activation = activation;
    if (x.kind != TENSOR_IMAGE)
        ls_fail(&self->error, LS_FAILED, "model: %s: a batch norm expects an image", name);
    if (joins && !same_image(&x, &self->tensors[added]))
        ls_fail(&self->error, LS_FAILED, "model: %s: %d x %d x %d cannot be added to %d x %d x %d",
                name, self->tensors[added].height, self->tensors[added].width,
                self->tensors[added].channels, x.height, x.width, x.channels);
    give_records(self, layer, x.channels, joins);
    return graph_end_layer(self, layer, image_of(x.height, x.width, x.channels));
}
