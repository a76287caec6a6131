/* A linear layer's gradient is a product of its factors, dy and x, over the rows of a batch: of the
 * rows of all ranks it is the sum of their gradients. */
#include "model/network_parts.h"

#include <stdlib.h>

bool graph_unit_factors(const graph *graph, int unit, int64_t *in_features, int64_t *out_features) {
    const graph_layer *layer = graph_unit_layer(graph, unit);
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
    const graph_layer *layer = graph_unit_layer(self->graph, unit);
    plan *made;
    if (find(self, unit, rows))
        return LS_OK;
    gathered_plan *plans =
        realloc(self->gathered, (size_t)(self->gathered_count + 1) * sizeof *plans);
    if (!plans)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->gathered = plans;
    layer_setting setting = {.graph = self->graph,
                             .layer = layer,
                             .device = self->device,
                             .n = rows,
                             .precision = self->precision,
                             .in_layout = self->layouts[layer->inputs[0]],
                             .out_layout = self->layouts[layer->output]};
    LS_TRY(layer->is->prepare(&setting, &made, error));
    self->gathered[self->gathered_count++] =
        (gathered_plan){.layer = layer, .rows = rows, .plan = made};
    return grow_workspace(self, made->workspace_bytes, error);
}

int network_gathered_gradient(network *self, int unit, int rows, device_stream *stream,
                              const void *x, const void *dy, float *gradient, ls_error *error) {
    const gathered_plan *mine = find(self, unit, rows);
    if (!mine)
        return ls_fail(error, LS_FAILED, "model: %s: no plan for %d gathered rows",
                       graph_unit_layer(self->graph, unit)->name, rows);
    op_arguments arguments = {
        .stream = stream, .x = {x}, .dy = dy, .workspace = self->gathered_workspace};
    for (int index = 0; index < mine->layer->record_count; index++) {
        const graph_parameter *of = &self->graph->parameters[mine->layer->first_record + index];
        if (of->trained)
            arguments.gradients[of->number] =
                gradient + (of->first - self->graph->units[unit].first);
    }
    return mine->plan->is->backward_parameters(mine->plan, &arguments, error);
}

void network_forget_gathered(network *self) {
    for (int index = 0; index < self->gathered_count; index++)
        plan_release(self->gathered[index].plan);
    if (self->gathered_workspace)
        self->device->is->release(self->device, self->gathered_workspace);
    free(self->gathered);
    self->gathered = NULL;
    self->gathered_workspace = NULL;
    self->gathered_workspace_bytes = 0;
    self->gathered_count = 0;
}
