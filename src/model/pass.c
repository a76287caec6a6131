#include "model/pass.h"

#include <stdlib.h>
#include <string.h>

static int forward_moment(int layer) {
    return layer;
}
static int backward_moment(const graph *graph, int layer) {
    return 2 * graph->layer_count - layer;
}

static int new_buffer(pass *self, size_t bytes, int first, int last) {
    self->buffers[self->buffer_count] =
        (arena_buffer){.bytes = bytes, .first = first, .last = last};
    return self->buffer_count++;
}

/* A ReLU's mask is applied by the only reader of its output where that kind does so on its way. */
static bool masked_by_reader(const graph *graph, const graph_tensor *tensor) {
    return tensor->use_count == 1 && graph->layers[tensor->uses[0]].is->masks_input;
}

/* An activation lives from its producer to the last that reads it: in forward, or in backward of a
 * layer that reads its input or output again (or the mask of its own ReLU). */
static int last_read(const graph *graph, int tensor) {
    const graph_tensor *t = &graph->tensors[tensor];
    int last = tensor == graph->output ? graph->layer_count : 0;
    for (int use = 0; use < t->use_count; use++) {
        const layer_interface *is = graph->layers[t->uses[use]].is;
        int moment = is->backward_reads_input ? backward_moment(graph, t->uses[use])
                                              : forward_moment(t->uses[use]);
        last = moment > last ? moment : last;
    }
    bool mask_here = t->relu && !masked_by_reader(graph, t);
    if (t->producer >= 0 && (graph->layers[t->producer].is->backward_reads_output || mask_here)) {
        int moment = backward_moment(graph, t->producer);
        last = moment > last ? moment : last;
    }
    return last;
}

static void lay_out_tensor(pass *self, const graph *graph, int tensor, dtype type) {
    const graph_tensor *t = &graph->tensors[tensor];
    size_t bytes = graph_tensor_elements(t) * (size_t)self->n * dtype_bytes(type);
    self->activation[tensor] = self->gradient[tensor] = -1;
    if (t->producer < 0)
        return;
    self->activation[tensor] =
        new_buffer(self, bytes, forward_moment(t->producer), last_read(graph, tensor));
    /* The gradient is first written by the last reader's backward (the loss, for the logits). */
    int first =
        t->use_count ? backward_moment(graph, t->uses[t->use_count - 1]) : graph->layer_count;
    self->gradient[tensor] = new_buffer(self, bytes, first, backward_moment(graph, t->producer));
}

/* Readers of a tensor other than the last write their part of its gradient aside, to be added. */
static void lay_out_extra(pass *self, const graph *graph, int layer, dtype type) {
    for (int input = 0; input < 2; input++) {
        self->extra_gradient[layer][input] = -1;
        if (input >= graph->layers[layer].input_count)
            continue;
        int tensor = graph->layers[layer].inputs[input];
        const graph_tensor *t = &graph->tensors[tensor];
        bool first_writer = t->uses[t->use_count - 1] == layer &&
                            !(input == 1 && graph->layers[layer].inputs[0] == tensor);
        if (t->producer < 0 || first_writer)
            continue;
        size_t bytes = graph_tensor_elements(t) * (size_t)self->n * dtype_bytes(type);
        int moment = backward_moment(graph, layer);
        self->extra_gradient[layer][input] = new_buffer(self, bytes, moment, moment);
    }
}

static int prepare_layer(pass *self, const graph *graph, device *device, precision precision,
                         const tensor_layout *layouts, int index, const pass *like,
                         ls_error *error) {
    const graph_layer *layer = &graph->layers[index];
    layer_pass *made = &self->layers[index];
    const ops *ops = device->is->ops;
    made->layer = layer;
    made->elements = graph_tensor_elements(&graph->tensors[layer->output]) * (size_t)self->n;
    for (int input = 1; input < layer->input_count; input++)
        if (layouts[layer->inputs[input]] != layouts[layer->inputs[0]])
            return ls_fail(error, LS_FAILED, "model: %s: joins tensors of different layouts",
                           layer->name);
    bool need_dx = graph->tensors[layer->inputs[0]].producer >= 0;
    LS_TRY(layer->is->prepare(graph, layer, device, self->n, precision, layouts[layer->inputs[0]],
                              layouts[layer->output], need_dx,
                              like ? like->layers[index].plan : NULL, &made->plan, error));
    made->dy_masked = masked_by_reader(graph, &graph->tensors[layer->output]);
    if (!made->plan)
        return LS_OK;
    size_t workspace = ops->plan_workspace_bytes(made->plan);
    if (workspace > self->workspace_bytes)
        self->workspace_bytes = workspace;
    size_t saved = ops->plan_saved_bytes(made->plan);
    if (saved)
        self->saved[index] =
            new_buffer(self, saved, forward_moment(index), backward_moment(graph, index));
    return LS_OK;
}

int pass_create(const graph *graph, device *device, precision precision,
                const tensor_layout *layouts, int n, const pass *like, pass **out,
                ls_error *error) {
    pass *self = calloc(1, sizeof *self);
    if (self)
        self->buffers = calloc((size_t)(2 * graph->tensor_count + 3 * graph->layer_count + 1),
                               sizeof *self->buffers);
    if (!self || !self->buffers) {
        free(self);
        return ls_fail(error, LS_FAILED, "out of memory");
    }
    self->n = n;
    for (int layer = 0; layer < graph->layer_count; layer++)
        self->saved[layer] = -1;
    *out = self;
    if (n == 0)
        return LS_OK;
    for (int tensor = 0; tensor < graph->tensor_count; tensor++)
        lay_out_tensor(self, graph, tensor, precision_type(precision));
    for (int layer = 0; layer < graph->layer_count; layer++) {
        int status = prepare_layer(self, graph, device, precision, layouts, layer, like, error);
        if (status != LS_OK) {
            pass_destroy(self, device, graph->layer_count);
            *out = NULL;
            return status;
        }
        lay_out_extra(self, graph, layer, precision_type(precision));
    }
    self->workspace = new_buffer(self, self->workspace_bytes, 0, 2 * graph->layer_count);
    self->arena_bytes = arena_plan(self->buffers, self->buffer_count);
    return LS_OK;
}

static void *place(const pass *self, char *arena, int buffer) {
    return buffer < 0 ? NULL : arena + self->buffers[buffer].offset;
}

void pass_place(pass *self, const graph *graph, char *arena) {
    if (self->n == 0)
        return;
    for (int index = 0; index < graph->layer_count; index++) {
        layer_pass *layer = &self->layers[index];
        const graph_layer *of = layer->layer;
        layer->saved = place(self, arena, self->saved[index]);
        layer->y = place(self, arena, self->activation[of->output]);
        layer->dy = place(self, arena, self->gradient[of->output]);
        for (int input = 0; input < of->input_count; input++) {
            int extra = self->extra_gradient[index][input];
            layer->x[input] = place(self, arena, self->activation[of->inputs[input]]);
            layer->dx[input] =
                place(self, arena, extra >= 0 ? extra : self->gradient[of->inputs[input]]);
        }
    }
    self->workspace_memory = place(self, arena, self->workspace);
    self->logits = place(self, arena, self->activation[graph->output]);
    self->logits_gradient = place(self, arena, self->gradient[graph->output]);
}

void pass_place_input(pass *self, const graph *graph, void *input) {
    self->input = input;
    for (int index = 0; self->n > 0 && index < graph->layer_count; index++)
        for (int use = 0; use < graph->layers[index].input_count; use++)
            if (graph->layers[index].inputs[use] == 0)
                self->layers[index].x[use] = input;
}

void pass_destroy(pass *self, device *device, int layer_count) {
    if (!self)
        return;
    for (int layer = 0; layer < layer_count; layer++)
        if (self->layers[layer].plan)
            device->is->ops->plan_release(device, self->layers[layer].plan);
    free(self->buffers);
    free(self);
}
