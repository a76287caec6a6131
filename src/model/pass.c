#include "model/pass.h"
#include "model/recompute.h"

#include <stdlib.h>

static int new_buffer(pass *self, size_t bytes, int first, int last) {
    self->buffers[self->buffer_count] =
        (arena_buffer){.bytes = bytes, .first = first, .last = last};
    return self->buffer_count++;
}

static int later(int a, int b) {
    return a > b ? a : b;
}

/* The last moment of a layer's backward that may read its input: dx may then be written there. */
static int reads_input_until(const layer_pass *layer) {
    return layer->backward_at + !layer->layer->is->inputs_come_apart;
}

/* The first moment of a layer's backward that may write the gradient of an input. */
static int writes_input_from(const layer_pass *layer) {
    return layer->backward_at + layer->layer->is->inputs_come_apart;
}

/* In forward, the loss included. */
static int last_forward_read(const graph *graph, int tensor) {
    const graph_tensor *t = &graph->tensors[tensor];
    int last = tensor == graph->output ? graph->layer_count : 0;
    for (int use = 0; use < t->use_count; use++)
        last = later(last, t->uses[use]);
    return later(last, t->producer);
}

/* In backward: by a layer that reads its input or output again (or the mask of its own ReLU), or
 * that is itself run again. */
static int last_backward_read(const pass *self, const graph *graph, int tensor) {
    const graph_tensor *t = &graph->tensors[tensor];
    int last = -1;
    for (int use = 0; use < t->use_count; use++) {
        const layer_pass *reader = &self->layers[t->uses[use]];
        if (reader->layer->is->backward_reads_input)
            last = later(last, reads_input_until(reader));
        if (reader->again_before >= 0 && !reader->from_saved)
            last = later(last, reader->again_at);
    }
    if (recompute_producer_reads(graph, tensor))
        last = later(last, self->layers[t->producer].backward_at + 1);
    return last;
}

/* An activation lives from its producer to the last that reads it, or twice. */
static void lay_out_tensor(pass *self, const graph *graph, int tensor, dtype type) {
    const graph_tensor *t = &graph->tensors[tensor];
    size_t bytes = graph_tensor_elements(t) * (size_t)self->n * dtype_bytes(type);
    self->activation[tensor] = self->activation_again[tensor] = self->gradient[tensor] = -1;
    if (t->producer < 0)
        return;
    const layer_pass *producer = &self->layers[t->producer];
    bool twice = producer->again_before >= 0;
    int forward = last_forward_read(graph, tensor);
    int backward = last_backward_read(self, graph, tensor);
    self->activation[tensor] =
        new_buffer(self, bytes, t->producer, twice ? forward : later(forward, backward));
    if (twice)
        self->activation_again[tensor] =
            new_buffer(self, bytes, producer->again_at, later(producer->again_at, backward));
    if (!t->wants_gradient)
        return;
    /* The gradient is first written by the last reader's backward (the loss, for the logits). */
    int first = t->use_count ? writes_input_from(&self->layers[t->uses[t->use_count - 1]])
                             : graph->layer_count;
    self->gradient[tensor] = new_buffer(self, bytes, first, producer->backward_at + 1);
}

static void lay_out_saved(pass *self, int index) {
    layer_pass *layer = &self->layers[index];
    size_t bytes = layer->plan->saved_bytes;
    int last = layer->backward_at + 1;
    if (bytes == 0)
        return;
    layer->saved = new_buffer(self, bytes, index, layer->saves_again ? index : last);
    if (layer->saves_again)
        layer->saved_again = new_buffer(self, bytes, layer->again_at, last);
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
        int moment = self->layers[index].backward_at;
        self->layers[index].extra_gradient[input] = new_buffer(self, bytes, moment, moment + 1);
    }
}

/* Whether the gradient of the layer's input may lie where its output's does: the layer is the first
 * to write it, and the input's producer neither masks it there nor lets it travel. */
static bool may_share_gradient(const pass *self, const graph *graph, int index, int input) {
    int tensor = graph->layers[index].inputs[input];
    const graph_tensor *t = &graph->tensors[tensor];
    return self->gradient[tensor] >= 0 && self->layers[index].extra_gradient[input] < 0 &&
           t->producer >= 0 && t->activation == ACTIVATION_NONE &&
           !graph->layers[t->producer].is->has_factors;
}

static void share_gradient(pass *self, int from, int to) {
    arena_buffer *kept = &self->buffers[self->gradient[from]];
    arena_buffer *gone = &self->buffers[self->gradient[to]];
    kept->first = kept->first < gone->first ? kept->first : gone->first;
    kept->last = later(kept->last, gone->last);
    *gone = (arena_buffer){.first = kept->first, .last = kept->first};
    self->gradient[to] = self->gradient[from];
}

/* Whoever else reads `tensor`, and so adds to its gradient, does so in backward after `producer`,
 * for which it must still be as it was. */
static bool added_to_after(const graph *graph, int tensor, int reader, int producer) {
    const graph_tensor *t = &graph->tensors[tensor];
    for (int use = 0; use < t->use_count; use++)
        if (t->uses[use] != reader && t->uses[use] >= producer)
            return false;
    return true;
}

static void hand_gradient_on(pass *self, const graph *graph, int index) {
    const graph_layer *layer = &graph->layers[index];
    if (!layer->is->hands_gradient_on || layer->activation != ACTIVATION_NONE ||
        self->gradient[layer->output] < 0)
        return;
    int a = layer->inputs[0], b = layer->inputs[layer->input_count - 1];
    bool both = added_to_after(graph, a, index, graph->tensors[b].producer) &&
                added_to_after(graph, b, index, graph->tensors[a].producer);
    for (int input = 0; input < layer->input_count; input++) {
        if (!may_share_gradient(self, graph, index, input))
            continue;
        share_gradient(self, layer->output, layer->inputs[input]);
        if (!both)
            return;
    }
}

static int prepare_layer(pass *self, const pass_setting *to, int index, ls_error *error) {
    const graph *graph = to->graph;
    const tensor_layout *layouts = to->layouts;
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
                             .device = to->device,
                             .n = self->n,
                             .precision = to->precision,
                             .in_layout = layouts[layer->inputs[0]],
                             .out_layout = layouts[layer->output],
                             .need_dx = need_dx,
                             .like = to->like ? to->like->layers[index].plan : NULL};
    LS_TRY(layer->is->prepare(&setting, &made->plan, error));
    made->dy_masked = recompute_masked_by_kind(graph, &graph->tensors[layer->output]);
    if (made->plan->workspace_bytes > self->workspace_bytes)
        self->workspace_bytes = made->plan->workspace_bytes;
    return LS_OK;
}

static int allocate(pass *self, const graph *graph, ls_error *error) {
    size_t layers = (size_t)graph->layer_count, tensors = (size_t)graph->tensor_count;
    size_t uses = 0;
    for (size_t layer = 0; layer < layers; layer++)
        uses += (size_t)graph->layers[layer].input_count;
    self->layers = calloc(layers + 1, sizeof *self->layers);
    self->activation = calloc(tensors + 1, sizeof *self->activation);
    self->activation_again = calloc(tensors + 1, sizeof *self->activation_again);
    self->gradient = calloc(tensors + 1, sizeof *self->gradient);
    self->buffers = calloc(3 * tensors + 2 * layers + uses + 1, sizeof *self->buffers);
    if (!self->layers || !self->activation || !self->activation_again || !self->gradient ||
        !self->buffers)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (size_t layer = 0; layer < layers; layer++) {
        layer_pass *made = &self->layers[layer];
        made->layer = &graph->layers[layer];
        made->saved = made->saved_again = made->again_before = -1;
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
    bool masked = producer->activation == ACTIVATION_NONE || recompute_masked_by_kind(graph, x);
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

/* Plans first: they say what is saved, and what may be made again. */
static int lay_out(pass *self, const pass_setting *to, ls_error *error) {
    const graph *graph = to->graph;
    for (int layer = 0; layer < graph->layer_count; layer++) {
        LS_TRY(prepare_layer(self, to, layer, error));
        share_sums(self, graph, layer);
        share_mask(self, graph, layer);
    }
    recompute_choose(self, graph, to->recompute);
    recompute_schedule(self, graph);
    for (int tensor = 0; tensor < graph->tensor_count; tensor++)
        lay_out_tensor(self, graph, tensor, precision_type(to->precision));
    for (int layer = 0; layer < graph->layer_count; layer++) {
        lay_out_saved(self, layer);
        lay_out_extra(self, graph, layer, precision_type(to->precision));
    }
    for (int layer = graph->layer_count - 1; layer >= 0; layer--)
        hand_gradient_on(self, graph, layer);
    self->workspace = new_buffer(self, self->workspace_bytes, 0, recompute_end(self, graph));
    return arena_plan(self->buffers, self->buffer_count, &self->arena_bytes, error);
}

int pass_create(const pass_setting *to, int n, pass **out, ls_error *error) {
    pass *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->n = n;
    int status = allocate(self, to->graph, error);
    if (status == LS_OK && n > 0)
        status = lay_out(self, to, error);
    if (status == LS_OK)
        *out = self;
    else
        pass_destroy(self, to->graph->layer_count);
    return status;
}

static void *place(const pass *self, char *arena, int buffer) {
    return buffer < 0 ? NULL : arena + self->buffers[buffer].offset;
}

static int activation_of(const pass *self, int tensor, bool again) {
    int second = self->activation_again[tensor];
    return again && second >= 0 ? second : self->activation[tensor];
}

/* A layer's tensors; in backward those that were made again. */
static void place_layer(const pass *self, const graph *graph, char *arena, bool again,
                        const layer_pass *layer, op_arguments *out) {
    const graph_layer *of = layer->layer;
    int producer = graph->tensors[of->inputs[0]].producer;
    if (layer->plan->masks_dx && producer >= 0) {
        const layer_pass *maker = &self->layers[producer];
        out->x_plan = maker->plan;
        out->x_saved =
            place(self, arena, again && maker->saves_again ? maker->saved_again : maker->saved);
    }
    out->workspace = place(self, arena, self->workspace);
    out->saved =
        place(self, arena, again && layer->saves_again ? layer->saved_again : layer->saved);
    out->y = place(self, arena, activation_of(self, of->output, again));
    out->dy = place(self, arena, self->gradient[of->output]);
    for (int input = 0; input < of->input_count; input++) {
        int extra = layer->extra_gradient[input];
        out->x[input] = place(self, arena, activation_of(self, of->inputs[input], again));
        out->dx[input] = place(self, arena, extra >= 0 ? extra : self->gradient[of->inputs[input]]);
    }
}

void pass_place(pass *self, const graph *graph, char *arena) {
    if (self->n == 0)
        return;
    for (int index = 0; index < graph->layer_count; index++) {
        layer_pass *layer = &self->layers[index];
        place_layer(self, graph, arena, false, layer, &layer->at);
        place_layer(self, graph, arena, true, layer, &layer->back);
        layer->dy = place(self, arena, self->gradient[layer->layer->output]);
    }
    self->logits = place(self, arena, self->activation[graph->output]);
    self->logits_gradient = place(self, arena, self->gradient[graph->output]);
}

void pass_place_input(pass *self, const graph *graph, void *input) {
    self->input = input;
    for (int index = 0; self->n > 0 && index < graph->layer_count; index++)
        for (int use = 0; use < graph->layers[index].input_count; use++)
            if (graph->layers[index].inputs[use] == 0)
                self->layers[index].at.x[use] = self->layers[index].back.x[use] = input;
}

void pass_destroy(pass *self, int layer_count) {
    if (!self)
        return;
    for (int layer = 0; self->layers && layer < layer_count; layer++)
        plan_release(self->layers[layer].plan);
    free(self->layers), free(self->activation), free(self->activation_again);
    free(self->gradient), free(self->buffers);
    free(self);
}
