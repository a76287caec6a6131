/* A residual join: y = a + b, with a ReLU where asked. Needs no plan. */
#include "model/layer.h"

static int prepare(const graph *graph, const graph_layer *layer, device *device, int n,
                   precision precision, tensor_layout in_layout, tensor_layout out_layout,
                   bool need_dx, const plan *like, plan **out, ls_error *error) {
    (void)graph, (void)device, (void)n, (void)precision, (void)need_dx, (void)like;
    if (in_layout != out_layout)
        return ls_fail(error, LS_FAILED, "model: %s: joins tensors of different layouts",
                       layer->name);
    *out = NULL;
    return LS_OK;
}

static int forward(const layer_run *run, layer_pass *pass, const layer_parameters *parameters,
                   ls_error *error) {
    (void)parameters;
    const ops *ops = run->device->is->ops;
    LS_TRY(run->device->is->copy(run->device, run->stream, pass->y, pass->x[0],
                                 pass->elements * dtype_bytes(run->type), COPY_ON_DEVICE, error));
    LS_TRY(
        ops->add(run->device, run->stream, pass->elements, run->type, pass->x[1], pass->y, error));
    if (!pass->layer->relu)
        return LS_OK;
    /* max(0, y) is y masked by itself. */
    return ops->relu_backward(run->device, run->stream, pass->elements, run->type, pass->y, pass->y,
                              error);
}

static int backward_data(const layer_run *run, layer_pass *pass, const layer_parameters *parameters,
                         ls_error *error) {
    (void)parameters;
    for (int input = 0; input < 2; input++)
        if (pass->dx[input])
            LS_TRY(run->device->is->copy(run->device, run->stream, pass->dx[input], pass->dy,
                                         pass->elements * dtype_bytes(run->type), COPY_ON_DEVICE,
                                         error));
    return LS_OK;
}

const layer_interface layer_add = {
    .kind = "add",
    .prepare = prepare,
    .forward = forward,
    .backward_data = backward_data,
};
