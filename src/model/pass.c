#include "model/pass.h"

#include <stdlib.h>

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
static bool masked_by_kind(const graph *graph, const graph_tensor *tensor) {
    return tensor->activation == ACTIVATION_RELU && tensor->use_count == 1 &&
           graph->layers[tensor->uses[0]].is->masks_input;
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
    bool mask_here = t->activation != ACTIVATION_NONE && !masked_by_kind(graph, t) &&
                     !graph->layers[t->producer].is->masks_itself;
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
    if (!t->wants_gradient)
        return;
    /* The gradient is first written by the last reader's backward (the loss, for the logits). */
    int first =
        t->use_count ? backward_moment(graph, t->uses[t->use_count - 1]) : graph->layer_count;
    self->gradient[tensor] = new_buffer(self, bytes, first, backward_moment(graph, t->producer));
}

/* Whether an earlier input of the layer is the same tensor. */
static bool read_before(const graph_layer *layer, int input) {
    for (int earlier = 0; earlier < input; earlier++)
        if (layer->inputs[earlier] == layer->inputs[input])
            return true;
    return false;
}

/* Readers of a tensor other than the last write their part of its gradient aside, to be added. */
static void lay_out_extra(pass *self, const graph *graph, int index, dtype type) {
    const graph_layer *layer = &graph->layers[index];
    for (int input = 0; input < layer->input_count; input++) {
        const graph_tensor *t = &graph->tensors[layer->inputs[input]];
        bool first_writer = t->uses[t->use_count - 1] == index && !read_before(layer, input);
        if (!t->wants_gradient || first_writer)
            continue;
        size_t bytes = graph_tensor_elements(t) * (size_t)self->n * dtype_bytes(type);
        int moment = backward_moment(graph, index);
        self->layers[index].extra_gradient[input] = new_buffer(self, bytes, moment, moment);
    }
}

static int prepare_layer(pass *self, const graph *graph, device *device, precision precision,
                         const tensor_layout *layouts, int index, const pass *like,
                         ls_error *error) {
    const graph_layer *layer = &graph->layers[index];
    layer_pass *made = &self->layers[index];
    made->elements = graph_tensor_elements(&graph->tensors[layer->output]) * (size_t)self->n;
    bool need_dx = false;
    for (int input = 0; input < layer->input_count; input++) {
        need_dx |= graph->tensors[layer->inputs[input]].wants_gradient;
        if (layouts[layer->inputs[input]] != layouts[layer->inputs[0]])
            return ls_fail(error, LS_FAILED, "model: %s: joins tensors of different layouts",
                           layer->name);
    }
    layer_setting setting = {.graph = graph,
                             .layer = layer,
                             .device = device,
                             .n = self->n,
                             .precision = precision,
                             .in_layout = layouts[layer->inputs[0]],
                             .out_layout = layouts[layer->output],
                             .need_dx = need_dx,
                             .like = like ? like->layers[index].plan : NULL};
    LS_TRY(layer->is->prepare(&setting, &made->plan, error));
    made->dy_masked = masked_by_kind(graph, &graph->tensors[layer->output]);
    if (made->plan->workspace_bytes > self->workspace_bytes)
        self->workspace_bytes = made->plan->workspace_bytes;
    if (made->plan->saved_bytes)
        made->saved = new_buffer(self, made->plan->saved_bytes, forward_moment(index),
                                 backward_moment(graph, index));
    return LS_OK;
}

static int allocate(pass *self, const graph *graph, ls_error *error) {
    size_t layers = (size_t)graph->layer_count, tensors = (size_t)graph->tensor_count;
    size_t uses = 0;
    for (size_t layer = 0; layer < layers; layer++)
        uses += (size_t)graph->layers[layer].input_count;
    self->layers = calloc(layers + 1, sizeof *self->layers);
    self->activation = calloc(tensors + 1, sizeof *self->activation);
    self->gradient = calloc(tensors + 1, sizeof *self->gradient);
    self->buffers = calloc(2 * tensors + layers + uses + 1, sizeof *self->buffers);
    if (!self->layers || !self->activation || !self->gradient || !self->buffers)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (size_t layer = 0; layer < layers; layer++) {
        layer_pass *made = &self->layers[layer];
        made->layer = &graph->layers[layer];
        made->saved = -1;
        for (int input = 0; input < OP_INPUTS; input++)
            made->extra_gradient[input] = -1;
    }
    return LS_OK;
}

/* A reader that alone makes the gradient of its input, mask and all, may add it up as well. */
static void share_sums(pass *self, const graph *graph, int index) {
    layer_pass *reader = &self->layers[index];
    const graph_tensor *x = &graph->tensors[reader->layer->inputs[0]];
    if (!reader->plan->sums_dx || x->producer < 0 || x->use_count != 1)
        return;
    const graph_layer *producer = &graph->layers[x->producer];
    bool masked = producer->activation == ACTIVATION_NONE || masked_by_kind(graph, x);
    if (producer->unit < 0 || !producer->is->has_summed_bias || !masked)
        return;
    reader->sums_for = producer;
    self->layers[x->producer].summed_by = reader->layer;
}

/* A reader whose plan masks on its way, by what the producer saved. */
static void share_mask(pass *self, const graph *graph, int index) {
    const graph_tensor *x = &graph->tensors[self->layers[index].layer->inputs[0]];
    if (self->layers[index].plan->masks_dx && x->producer >= 0)
        self->layers[x->producer].dy_masked = true;
}

static int lay_out(pass *self, const graph *graph, device *device, precision precision,
                   const tensor_layout *layouts, const pass *like, ls_error *error) {
    for (int tensor = 0; tensor < graph->tensor_count; tensor++)
        lay_out_tensor(self, graph, tensor, precision_type(precision));
    for (int layer = 0; layer < graph->layer_count; layer++) {
        LS_TRY(prepare_layer(self, graph, device, precision, layouts, layer, like, error));
        lay_out_extra(self, graph, layer, precision_type(precision));
        share_sums(self, graph, layer);
        share_mask(self, graph, layer);
    }
    self->workspace = new_buffer(self, self->workspace_bytes, 0, 2 * graph->layer_count);
    return arena_plan(self->buffers, self->buffer_count, &self->arena_bytes, error);
}

int pass_create(const graph *graph, device *device, precision precision,
                const tensor_layout *layouts, int n, const pass *like, pass **out,
                ls_error *error) {
    pass *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->n = n;
    int status = allocate(self, graph, error);
    if (status == LS_OK && n > 0)
        status = lay_out(self, graph, device, precision, layouts, like, error);
    if (status == LS_OK)
        *out = self;
    else
        pass_destroy(self, graph->layer_count);
    return status;
}

static void *place(const pass *self, char *arena, int buffer) {
    return buffer < 0 ? NULL : arena + self->buffers[buffer].offset;
}

void pass_place(pass *self, const graph *graph, char *arena) {
    if (self->n == 0)
        return;
    void *workspace = place(self, arena, self->workspace);
    for (int index = 0; index < graph->layer_count; index++) {
        layer_pass *layer = &self->layers[index];
        const graph_layer *of = layer->layer;
        int producer = graph->tensors[of->inputs[0]].producer;
        if (layer->plan->masks_dx && producer >= 0) {
            layer->at.x_plan = self->layers[producer].plan;
            layer->at.x_saved = place(self, arena, self->layers[producer].saved);
        }
        layer->at.saved = place(self, arena, layer->saved);
        layer->at.workspace = workspace;
        layer->at.y = place(self, arena, self->activation[of->output]);
        layer->at.dy = layer->dy = place(self, arena, self->gradient[of->output]);
        for (int input = 0; input < of->input_count; input++) {
            int extra = layer->extra_gradient[input];
            layer->at.x[input] = place(self, arena, self->activation[of->inputs[input]]);
            layer->at.dx[input] =
                place(self, arena, extra >= 0 ? extra : self->gradient[of->inputs[input]]);
        }
    }
    self->logits = place(self, arena, self->activation[graph->output]);
    self->logits_gradient = place(self, arena, self->gradient[graph->output]);
}

void pass_place_input(pass *self, const graph *graph, void *input) {
    self->input = input;
    for (int index = 0; self->n > 0 && index < graph->layer_count; index++)
        for (int use = 0; use < graph->layers[index].input_count; use++)
            if (graph->layers[index].inputs[use] == 0)
                self->layers[index].at.x[use] = input;
}

void pass_destroy(pass *self, int layer_count) {
    if (!self)
        return;
    for (int layer = 0; self->layers && layer < layer_count; layer++)
        plan_release(self->layers[layer].plan);
    free(self->layers), free(self->activation), free(self->gradient), free(self->buffers);
    free(self);
}
