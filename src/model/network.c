#include "model/network.h"
#include "model/network_parts.h"

#include <stdlib.h>
#include <string.h>

static tensor_layout layout_of(const graph *graph, const device *device, dtype type, int tensor) {
    const graph_tensor *t = &graph->tensors[tensor];
    if (t->flattened || (t->height == 1 && t->width == 1))
        return device->is->ops->choose_layout(device, LAYOUT_ROLE_FLAT, t->channels, type);
    return device->is->ops->choose_layout(
        device, t->producer < 0 ? LAYOUT_ROLE_INPUT : LAYOUT_ROLE_IMAGE, t->channels, type);
}

int network_create(const graph *graph, device *device, precision precision, network **out,
                   ls_error *error) {
    network *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->graph = graph;
    self->device = device;
    self->precision = precision;
    self->type = precision_type(precision);
    for (int tensor = 0; tensor < graph->tensor_count; tensor++)
        self->layouts[tensor] = layout_of(graph, device, self->type, tensor);
    *out = self;
    return LS_OK;
}

void network_destroy(network *self) {
    if (!self)
        return;
    for (int lane = 1; lane < self->lane_count; lane++)
        network_destroy(self->others[lane - 1]);
    free(self->others);
    network_forget_gathered(self);
    for (int index = 0; index < self->pass_count; index++)
        pass_destroy(self->passes[index], self->device, self->graph->layer_count);
    for (int layer = 0; layer < self->graph->layer_count; layer++)
        if (self->packed[layer] && !self->is_other)
            self->device->is->release(self->device, self->packed[layer]);
    if (self->arena)
        self->device->is->release(self->device, self->arena);
    for (int which = 0; which < self->input_count; which++)
        self->device->is->release(self->device, self->inputs[which]);
    free(self);
}

int network_split(network *self, int count, ls_error *error) {
    self->others = calloc((size_t)count, sizeof *self->others);
    if (!self->others)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (self->lane_count = 1; self->lane_count < count; self->lane_count++) {
        network **made = &self->others[self->lane_count - 1];
        LS_TRY(network_create(self->graph, self->device, self->precision, made, error));
        (*made)->is_other = true;
    }
    return LS_OK;
}

network *network_lane(network *self, int lane) {
    return lane == 0 ? self : self->others[lane - 1];
}

pass *network_pass(network *self, int n) {
    for (int index = 0; index < self->pass_count; index++)
        if (self->passes[index]->n == n)
            return self->passes[index];
    return NULL;
}

/* The pass whose plans decide how weights are packed: the first that has plans. */
pass *network_leading_pass(const network *self) {
    for (int index = 0; index < self->pass_count; index++)
        if (self->passes[index]->n > 0)
            return self->passes[index];
    return NULL;
}

/* A pass of `self` with the weights packed as `like` has them. */
static int add_pass(network *self, int n, const pass *like, ls_error *error) {
    pass *made;
    LS_TRY(pass_create(self->graph, self->device, self->precision, self->layouts, n, like, &made,
                       error));
    self->passes[self->pass_count++] = made;
    if (made->arena_bytes > self->arena_bytes)
        self->arena_bytes = made->arena_bytes;
    return LS_OK;
}

typedef struct preparing {
    network *self;
    int n, status;
    ls_error *error;
} preparing;

static void prepare_lanes(void *context, int worker) {
    preparing *what = context;
    network *self = what->self;
    (void)worker;
    for (int lane = 0; lane < self->lane_count && what->status == LS_OK; lane++)
        what->status =
            add_pass(network_lane(self, lane), what->n, network_leading_pass(self), what->error);
}

int network_prepare(network *self, int n, ls_error *error) {
    preparing what = {.self = self, .n = n, .status = LS_OK, .error = error};
    if (network_pass(self, n))
        return LS_OK;
    if (self->arena || self->pass_count == MAX_PASSES)
        return ls_fail(error, LS_FAILED, "model: no pass for a batch of %d can be added now", n);
    if (self->lane_count == 0)
        return add_pass(self, n, network_leading_pass(self), error);
    device_alone(self->device, prepare_lanes, &what);
    return what.status;
}

static int allocate_packed(network *self, ls_error *error) {
    pass *leading = network_leading_pass(self);
    for (int layer = 0; leading && layer < self->graph->layer_count; layer++) {
        plan *plan = leading->layers[layer].plan;
        size_t bytes = plan ? self->device->is->ops->plan_packed_bytes(plan) : 0;
        if (bytes == 0)
            continue;
        LS_TRY(self->device->is->allocate(self->device, bytes, "packed weights",
                                          &self->packed[layer], error));
    }
    return LS_OK;
}

static size_t input_bytes(const network *self) {
    int most = 0;
    for (int index = 0; index < self->pass_count; index++)
        most = self->passes[index]->n > most ? self->passes[index]->n : most;
    return graph_tensor_elements(&self->graph->tensors[0]) * (size_t)most * dtype_bytes(self->type);
}

static int wanted_inputs(const network *self) {
    return self->device->facts.asynchronous ? NETWORK_MAX_INPUTS : 1;
}

static int allocate_inputs(network *self, ls_error *error) {
    for (; self->input_count < wanted_inputs(self); self->input_count++)
        LS_TRY(self->device->is->allocate(self->device, input_bytes(self), "a batch",
                                          &self->inputs[self->input_count], error));
    return LS_OK;
}

static int seal_one(network *self, ls_error *error) {
    void *arena;
    LS_TRY(allocate_inputs(self, error));
    LS_TRY(
        self->device->is->allocate(self->device, self->arena_bytes, "activations", &arena, error));
    self->arena = arena;
    for (int index = 0; index < self->pass_count; index++) {
        pass_place(self->passes[index], self->graph, self->arena);
        network_take_input(self, self->passes[index], 0);
    }
    return LS_OK;
}

int network_seal(network *self, ls_error *error) {
    LS_TRY(allocate_packed(self, error));
    LS_TRY(seal_one(self, error));
    for (int lane = 1; lane < self->lane_count; lane++) {
        network *other = network_lane(self, lane);
        memcpy(other->packed, self->packed, sizeof other->packed);
        LS_TRY(seal_one(other, error));
    }
    return LS_OK;
}

void *network_input(const network *self, int which) {
    return self->inputs[which < self->input_count ? which : 0];
}
void network_take_input(const network *self, pass *pass, int which) {
    pass_place_input(pass, self->graph, network_input(self, which));
}

void *pass_input(pass *pass) {
    return pass->input;
}
void *pass_logits(pass *pass) {
    return pass->logits;
}
void *pass_logits_gradient(pass *pass) {
    return pass->logits_gradient;
}
dtype network_type(const network *self) {
    return self->type;
}
size_t network_arena_bytes(const network *self) {
    size_t one = self->arena_bytes + (size_t)wanted_inputs(self) * input_bytes(self);
    return one * (size_t)(self->lane_count > 1 ? self->lane_count : 1);
}
tensor_layout network_input_layout(const network *self) {
    return self->layouts[0];
}

int network_ranges(network *self, float learning_rate, float weight_decay, parameter_range *out) {
    pass *leading = network_leading_pass(self);
    int count = 0;
    for (int unit = 0; unit < self->graph->unit_count; unit++) {
        int index = self->graph->unit_layers[unit];
        const graph_layer *layer = &self->graph->layers[index];
        bool packed = leading && self->packed[index];
        out[count++] = (parameter_range){.first = layer->first_weight,
                                         .count = layer->weight_count,
                                         .learning_rate = learning_rate,
                                         .weight_decay = weight_decay,
                                         .packing = packed ? leading->layers[index].plan : NULL,
                                         .packed = packed ? self->packed[index] : NULL};
        out[count++] = (parameter_range){.first = layer->first_weight + layer->weight_count,
                                         .count = layer->bias_count,
                                         .learning_rate = learning_rate,
                                         .weight_decay = weight_decay};
    }
    return count;
}

int network_pack(network *self, device_stream *stream, const float *parameters, ls_error *error) {
    pass *leading = network_leading_pass(self);
    for (int layer = 0; leading && layer < self->graph->layer_count; layer++)
        if (self->packed[layer])
            LS_TRY(self->device->is->ops->pack_weights(
                leading->layers[layer].plan, stream,
                parameters + self->graph->layers[layer].first_weight, self->packed[layer], error));
    return LS_OK;
}
