/* An image cut into patches: tokens of their pixels. */
#include "device/kinds/patches.h"
#include "model/layer.h"
#include "model/layers.h"

typedef struct patches_settings {
    int side;
} patches_settings;

static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    const graph_tensor *x = &to->graph->tensors[to->layer->inputs[0]];
    const patches_settings *settings = to->layer->settings;
    patches_shape shape = {.n = to->n,
                           .height = x->height,
                           .width = x->width,
                           .channels = x->channels,
                           .side = settings->side,
                           .in_layout = to->in_layout,
                           .type = precision_type(to->precision)};
    return op_prepare(to->device, &op_patches, &shape, to->like, out, error);
}

static const layer_interface layer_patches = {
    .kind = "patches",
    .prepare = prepare,
    .work = work_of_elements,
};

int graph_patches(graph *self, const char *name, int input, int side) {
    graph_layer *layer =
        graph_begin_layer(self, &layer_patches, name, &input, 1, sizeof(patches_settings));
    if (!layer)
        return 0;
    const graph_tensor x = self->tensors[input];
    *(patches_settings *)layer->settings = (patches_settings){side};
    if (x.kind != TENSOR_IMAGE)
        ls_fail(&self->error, LS_FAILED, "model: %s: patches are cut of an image", name);
    if (x.height % side || x.width % side)
        ls_fail(&self->error, LS_BAD_INPUT,
                "model: an image of %d x %d is not made of patches of %d x %d: take a --patch that "
                "divides it",
                x.height, x.width, side, side);
    return graph_end_layer(
        self, layer, tokens_of((x.height / side) * (x.width / side), side * side * x.channels));
}
