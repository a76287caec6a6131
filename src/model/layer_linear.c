#include "model/layer.h"

static int prepare(const graph *graph, const graph_layer *layer, device *device, int n,
                   precision precision, tensor_layout in_layout, tensor_layout out_layout,
                   bool need_dx, const plan *like, plan **out, ls_error *error) {
    (void)in_layout, (void)out_layout; /* a flattened tensor lies in [h, w, c] order */
    const graph_tensor *x = &graph->tensors[layer->inputs[0]];
    linear_shape shape = {.n = n,
                          .in_features = (int)graph_tensor_elements(x),
                          .out_features = layer->out_channels,
                          .type = precision_type(precision),
                          .tf32 = precision == PRECISION_TF32,
                          .relu = layer->relu,
                          .need_dx = need_dx};
    return device->is->ops->linear_prepare(device, &shape, like, out, error);
}

static int forward(const layer_run *run, layer_pass *pass, const layer_parameters *p,
                   ls_error *error) {
    return run->device->is->ops->linear_forward(pass->plan, run->stream, pass->x[0], p->weights,
                                                p->packed, p->bias, pass->y, run->workspace, error);
}

static int backward_weights(const layer_run *run, layer_pass *pass, const layer_parameters *p,
                            ls_error *error) {
    return run->device->is->ops->linear_backward_weights(pass->plan, run->stream, pass->x[0],
                                                         pass->dy, p->dweights, p->dbias,
                                                         run->workspace, error);
}

static int backward_data(const layer_run *run, layer_pass *pass, const layer_parameters *p,
                         ls_error *error) {
    return run->device->is->ops->linear_backward_data(pass->plan, run->stream, pass->dy, p->weights,
                                                      p->packed, pass->dx[0], run->workspace,
                                                      error);
}

const layer_interface layer_linear = {
    .kind = "linear",
    .backward_reads_input = true,
    .has_factors = true,
    .prepare = prepare,
    .forward = forward,
    .backward_weights = backward_weights,
    .backward_data = backward_data,
};
