/* A linear layer's gradient is a product of its factors, dy and x, over the rows of a batch: of the
 * rows of all ranks it is the sum of their gradients. */
#include "model/network_parts.h"

#include <stdlib.h>

static const graph_layer *layer_of(const graph *graph, int unit) {
    return &graph->layers[graph->unit_layers[unit]];
}

bool graph_unit_factors(const graph *graph, int unit, int64_t *in_features, int64_t *out_features) {
    const graph_layer *layer = layer_of(graph, unit);
    if (!layer->is->has_factors)
        return false;
    *in_features = (int64_t)graph_tensor_elements(&graph->tensors[layer->inputs[0]]);
    *out_features = (int64_t)graph_tensor_elements(&graph->tensors[layer->output]);
    return true;
}

static const gathered_plan *find(const network *self, int unit, int rows) {
    for (int index = 0; index < self->gathered_count; index++)
        if (self->gathered[index].layer->unit == unit && self->gathered[index].rows == rows)
            return &self->gathered[index];
    return NULL;
}

/* Plans of the same stream never run at once, so the largest need serves all. */
static int grow_workspace(network *self, size_t bytes, ls_error *error) {
    if (bytes <= self->gathered_workspace_bytes)
        return LS_OK;
    if (self->gathered_workspace)
        self->device->is->release(self->device, self->gathered_workspace);
    self->gathered_workspace = NULL;
    self->gathered_workspace_bytes = 0;
    LS_TRY(self->device->is->allocate(self->device, bytes, "the workspace of gathered factors",
                                      &self->gathered_workspace, error));
    self->gathered_workspace_bytes = bytes;
    return LS_OK;
}

int network_prepare_gathered(network *self, int unit, int rows, ls_error *error) {
    const graph_layer *layer = layer_of(self->graph, unit);
    plan *made;
    if (find(self, unit, rows))
        return LS_OK;
    gathered_plan *plans =
        realloc(self->gathered, (size_t)(self->gathered_count + 1) * sizeof *plans);
    if (!plans)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->gathered = plans;
    LS_TRY(layer->is->prepare(self->graph, layer, self->device, rows, self->precision,
                              self->layouts[layer->inputs[0]], self->layouts[layer->output], false,
                              NULL, &made, error));
    self->gathered[self->gathered_count++] =
        (gathered_plan){.layer = layer, .rows = rows, .plan = made};
    return grow_workspace(self, self->device->is->ops->plan_workspace_bytes(made), error);
}

int network_gathered_gradient(network *self, int unit, int rows, device_stream *stream,
                              const void *x, const void *dy, float *gradient, ls_error *error) {
    const gathered_plan *mine = find(self, unit, rows);
    if (!mine)
        return ls_fail(error, LS_FAILED, "model: %s: no plan for %d gathered rows",
                       layer_of(self->graph, unit)->name, rows);
    layer_pass at = {.layer = mine->layer, .plan = mine->plan, .x = {(void *)x}, .dy = (void *)dy};
    layer_parameters parameters = {.dweights = gradient,
                                   .dbias = gradient + mine->layer->weight_count};
    layer_run run = {self->device, stream, self->gathered_workspace, self->type};
    return mine->layer->is->backward_weights(&run, &at, &parameters, error);
}

void network_forget_gathered(network *self) {
    for (int index = 0; index < self->gathered_count; index++)
        self->device->is->ops->plan_release(self->device, self->gathered[index].plan);
    if (self->gathered_workspace)
        self->device->is->release(self->device, self->gathered_workspace);
    free(self->gathered);
    self->gathered = NULL;
    self->gathered_workspace = NULL;
    self->gathered_workspace_bytes = 0;
    self->gathered_count = 0;
}
