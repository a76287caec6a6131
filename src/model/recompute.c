#include "model/recompute.h"

bool recompute_masked_by_kind(const graph *graph, const graph_tensor *tensor) {
    return tensor->activation == ACTIVATION_RELU && tensor->use_count == 1 &&
           graph->layers[tensor->uses[0]].is->masks_input;
}

bool recompute_producer_reads(const graph *graph, int tensor) {
    const graph_tensor *t = &graph->tensors[tensor];
    if (t->producer < 0)
        return false;
    const layer_interface *is = graph->layers[t->producer].is;
    bool mask_here = t->activation != ACTIVATION_NONE && !recompute_masked_by_kind(graph, t) &&
                     !is->masks_itself;
    return is->backward_reads_output || mask_here;
}

/* The last layer whose backward, which is the first, reads the tensor as its input; -1: none. */
static int last_reader_again(const graph *graph, const graph_tensor *t) {
    int last = -1;
    for (int use = 0; use < t->use_count; use++)
        if (graph->layers[t->uses[use]].is->backward_reads_input && t->uses[use] > last)
            last = t->uses[use];
    return last;
}

/* Backward of the tensor's producer or of any reader reads it again. */
static bool is_read_again(const graph *graph, int tensor) {
    return recompute_producer_reads(graph, tensor) ||
           last_reader_again(graph, &graph->tensors[tensor]) >= 0;
}

/* All that a layer's backward reads of a tensor may lie elsewhere than forward had it. Rows that
 * are gathered over ranks may not: they travel meanwhile. */
static bool may_move(const graph *graph, int tensor) {
    const graph_tensor *t = &graph->tensors[tensor];
    for (int use = 0; use < t->use_count; use++)
        if (graph->layers[t->uses[use]].is->has_factors)
            return false;
    return t->producer >= 0 && t->use_count > 0 && tensor != graph->output;
}

/* ---- what costs next to nothing */

static bool inputs_are_kept(const pass *self, const graph *graph, const graph_layer *layer) {
    for (int input = 0; input < layer->input_count; input++) {
        int producer = graph->tensors[layer->inputs[input]].producer;
        if (producer >= 0 && self->layers[producer].again_before >= 0)
            return false;
    }
    return true;
}

static void choose_cheap(pass *self, const graph *graph, int index) {
    layer_pass *here = &self->layers[index];
    const graph_layer *layer = here->layer;
    int reader = last_reader_again(graph, &graph->tensors[layer->output]);
    if (reader < 0 || !may_move(graph, layer->output))
        return;
    here->from_saved = here->plan->again == AGAIN_FROM_SAVED;
    bool cheap = here->plan->again == AGAIN_CHEAP && layer->is->backward_reads_input &&
                 inputs_are_kept(self, graph, layer);
    if (cheap || here->from_saved)
        here->again_before = reader;
}

/* ---- blocks */

/* Only layers of the block read what this one makes. */
static bool is_inside(const graph *graph, const graph_layer *layer) {
    const graph_tensor *t = &graph->tensors[layer->output];
    for (int use = 0; use < t->use_count; use++)
        if (graph->layers[t->uses[use]].block != layer->block)
            return false;
    return may_move(graph, layer->output);
}

/* A layer of the block that is run again reads the tensor. */
static bool is_wanted_again(const pass *self, const graph_tensor *t) {
    for (int use = 0; use < t->use_count; use++)
        if (self->layers[t->uses[use]].again_before >= 0)
            return true;
    return false;
}

/* From the block's last layer back to its first: what a later one reads is known. */
static void choose_block(pass *self, const graph *graph, int first, int last) {
    for (int index = last; index >= first; index--) {
        layer_pass *here = &self->layers[index];
        int output = here->layer->output;
        if (!is_inside(graph, here->layer) ||
            (!is_read_again(graph, output) && !is_wanted_again(self, &graph->tensors[output])))
            continue;
        here->again_before = last;
        here->saves_again = here->plan->again == AGAIN_FROM_SAVED;
    }
}

static int block_end(const graph *graph, int first) {
    int last = first;
    while (last + 1 < graph->layer_count &&
           graph->layers[last + 1].block == graph->layers[first].block)
        last++;
    return last;
}

/* ---- all of it */

static void note_first(pass *self, int index) {
    int before = self->layers[index].again_before;
    if (before >= 0 && index < self->layers[before].first_again)
        self->layers[before].first_again = index;
}

/* What is run again needs parameters: the walk first comes to the unit that is next in backward, in
 * whose block they are. */
static void come_early(pass *self, const graph *graph, int index) {
    int next = index;
    while (next >= 0 && graph->layers[next].unit < 0)
        next--;
    if (self->layers[index].first_again > index || next < 0 || self->layers[next].comes_early)
        return;
    self->layers[index].comes_to = graph->layers[next].unit;
    self->layers[next].comes_early = true;
}

void recompute_choose(pass *self, const graph *graph, recompute wanted) {
    for (int index = 0; index < graph->layer_count; index++) {
        self->layers[index].again_before = self->layers[index].comes_to = -1;
        self->layers[index].first_again = index + 1;
    }
    for (int index = 0; index < graph->layer_count && wanted != RECOMPUTE_NONE; index++) {
        bool block = wanted == RECOMPUTE_BLOCK && graph->layers[index].block > 0;
        int last = block ? block_end(graph, index) : index;
        if (block)
            choose_block(self, graph, index, last);
        else
            choose_cheap(self, graph, index);
        index = last;
    }
    for (int index = 0; index < graph->layer_count; index++)
        note_first(self, index);
    for (int index = graph->layer_count - 1; index >= 0; index--)
        come_early(self, graph, index);
}

void recompute_schedule(pass *self, const graph *graph) {
    int moment = graph->layer_count + 1;
    for (int index = graph->layer_count - 1; index >= 0; index--) {
        for (int each = self->layers[index].first_again; each <= index; each++)
            if (self->layers[each].again_before == index)
                self->layers[each].again_at = moment++;
        self->layers[index].backward_at = moment;
        moment += 2;
    }
}

int recompute_end(const pass *self, const graph *graph) {
    return graph->layer_count > 0 ? self->layers[0].backward_at + 1 : 0;
}
