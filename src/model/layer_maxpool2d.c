#include "model/layer.h"

static int prepare(const graph *graph, const graph_layer *layer, device *device, int n,
                   precision precision, tensor_layout in_layout, tensor_layout out_layout,
                   bool need_dx, const plan *like, plan **out, ls_error *error) {
    (void)need_dx, (void)like;
    const graph_tensor *x = &graph->tensors[layer->inputs[0]];
    maxpool2d_shape shape = {.n = n,
                             .height = x->height,
                             .width = x->width,
                             .channels = x->channels,
                             .window = layer->kernel,
                             .in_layout = in_layout,
                             .out_layout = out_layout,
                             .type = precision_type(precision),
                             .relu_input = x->relu && x->use_count == 1};
    return device->is->ops->maxpool2d_prepare(device, &shape, out, error);
}

static int forward(const layer_run *run, layer_pass *pass, const layer_parameters *parameters,
                   ls_error *error) {
    (void)parameters;
    return run->device->is->ops->maxpool2d_forward(pass->plan, run->stream, pass->x[0], pass->y,
                                                   pass->saved, error);
}

static int backward_data(const layer_run *run, layer_pass *pass, const layer_parameters *parameters,
                         ls_error *error) {
    (void)parameters;
    return run->device->is->ops->maxpool2d_backward(pass->plan, run->stream, pass->dy, pass->y,
                                                    pass->saved, pass->dx[0], error);
}

const layer_interface layer_maxpool2d = {
    .kind = "maxpool2d",
    .masks_input = true,
    .backward_reads_output = true,
    .prepare = prepare,
    .forward = forward,
    .backward_data = backward_data,
};
