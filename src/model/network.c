#include "model/network.h"
#include "model/network_parts.h"

#include <stdlib.h>
#include <string.h>

/* Whether all readers of a tensor take it with channels of zeros behind its own. */
static bool may_be_padded(const graph *graph, const graph_tensor *tensor) {
    for (int use = 0; use < tensor->use_count; use++)
        if (!graph->layers[tensor->uses[use]].is->takes_padded_input)
            return false;
    return true;
}

static tensor_layout layout_of(const graph *graph, const device *device, dtype type, int tensor) {
    const graph_tensor *t = &graph->tensors[tensor];
    if (t->flattened || t->kind != TENSOR_IMAGE)
        return device->is->ops->choose_layout(device, LAYOUT_ROLE_FLAT, t->channels, type);
    tensor_layout chosen = device->is->ops->choose_layout(
        device, t->producer < 0 ? LAYOUT_ROLE_INPUT : LAYOUT_ROLE_IMAGE, t->channels, type);
    return chosen == LAYOUT_NHWC_PADDED && !may_be_padded(graph, t) ? LAYOUT_NHWC : chosen;
}

int network_create(const graph *graph, device *device, precision precision, network **out,
                   ls_error *error) {
    network *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->graph = graph;
    self->device = device;
    self->precision = precision;
    self->recompute = RECOMPUTE_CHEAP;
    self->type = precision_type(precision);
    self->layouts = calloc((size_t)graph->tensor_count + 1, sizeof *self->layouts);
    self->packed = calloc((size_t)graph->record_count + 1, sizeof *self->packed);
    self->left = calloc((size_t)graph->record_count + 1, sizeof *self->left);
    if (!self->layouts || !self->packed || !self->left) {
        network_destroy(self);
        return ls_fail(error, LS_FAILED, "out of memory");
    }
    for (int tensor = 0; tensor < graph->tensor_count; tensor++)
        self->layouts[tensor] = layout_of(graph, device, self->type, tensor);
    *out = self;
    return LS_OK;
}

recompute recompute_of(const char *name) {
    if (!name || strcmp(name, "cheap") == 0)
        return RECOMPUTE_CHEAP;
    return strcmp(name, "block") == 0 ? RECOMPUTE_BLOCK : RECOMPUTE_NONE;
}

void network_recompute(network *self, recompute wanted) {
    self->recompute = wanted;
}

void network_destroy(network *self) {
    if (!self)
        return;
    for (int lane = 1; lane < self->lane_count; lane++)
        network_destroy(self->others[lane - 1]);
    free(self->others);
    network_forget_gathered(self);
    for (int index = 0; index < self->pass_count; index++)
        pass_destroy(self->passes[index], self->graph->layer_count);
    for (int record = 0; self->left && record < self->graph->record_count; record++)
        if (self->left[record])
            self->device->is->release(self->device, self->left[record]);
    if (self->arena)
        self->device->is->release(self->device, self->arena);
    for (int which = 0; which < self->input_count; which++)
        self->device->is->release(self->device, self->inputs[which]);
    free(self->passes), free(self->layouts), free(self->packed), free(self->left);
    free(self);
}

int network_split(network *self, int count, ls_error *error) {
    self->others = calloc((size_t)count, sizeof *self->others);
    if (!self->others)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (self->lane_count = 1; self->lane_count < count; self->lane_count++) {
        network **made = &self->others[self->lane_count - 1];
        LS_TRY(network_create(self->graph, self->device, self->precision, made, error));
        network_recompute(*made, self->recompute);
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
    pass *made, **passes = realloc(self->passes, (size_t)(self->pass_count + 1) * sizeof *passes);
    if (!passes)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->passes = passes;
    pass_setting setting = {.graph = self->graph,
                            .device = self->device,
                            .precision = self->precision,
                            .layouts = self->layouts,
                            .recompute = self->recompute,
                            .like = like};
    LS_TRY(pass_create(&setting, n, &made, error));
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
    if (self->arena)
        return ls_fail(error, LS_FAILED, "model: no pass for a batch of %d can be added now", n);
    if (self->lane_count == 0)
        return add_pass(self, n, network_leading_pass(self), error);
    device_alone(self->device, prepare_lanes, &what);
    return what.status;
}

plan *network_plan_of(const network *self, int record) {
    const graph_parameter *of = &self->graph->parameters[record];
    const pass *leading = network_leading_pass(self);
    return leading && of->trained ? leading->layers[of->layer].plan : NULL;
}

size_t network_packed_bytes(const network *self, int record) {
    const plan *plan = network_plan_of(self, record);
    return plan ? plan->packed[self->graph->parameters[record].number].bytes : 0;
}

size_t network_packed_element(const network *self, int record) {
    const plan *plan = network_plan_of(self, record);
    return plan ? plan_packed_element(plan, self->graph->parameters[record].number) : 0;
}

void network_place_packed(network *self, int record, void *memory) {
    self->packed[record] = memory;
    for (int lane = 1; lane < self->lane_count; lane++)
        network_lane(self, lane)->packed[record] = memory;
}

bool network_is_packed(const network *self) {
    for (int record = 0; record < self->graph->record_count; record++)
        if (self->packed[record])
            return true;
    return false;
}

static size_t left_bytes(const network *self, int record) {
    const plan *plan = network_plan_of(self, record);
    return plan ? plan->left[self->graph->parameters[record].number].bytes : 0;
}

bool network_leaves_gradients(const network *self) {
    return self->leaves;
}

size_t network_left_bytes(const network *self) {
    size_t sum = 0;
    for (int record = 0; record < self->graph->record_count; record++)
        sum += left_bytes(self, record);
    return sum;
}

int network_leave_gradients(network *self, ls_error *error) {
    self->leaves = true;
    for (int record = 0; record < self->graph->record_count; record++) {
        size_t bytes = left_bytes(self, record);
        if (bytes > 0 && !self->left[record])
            LS_TRY(self->device->is->allocate(self->device, bytes, "gradients as they are left",
                                              &self->left[record], error));
    }
    return LS_OK;
}

size_t network_input_elements(const network *self) {
    const graph_tensor *input = &self->graph->tensors[0];
    return graph_tensor_elements(input) / (size_t)input->channels *
           (size_t)layout_channels(self->layouts[0], input->channels);
}

static size_t input_bytes(const network *self) {
    int most = 0;
    for (int index = 0; index < self->pass_count; index++)
        most = self->passes[index]->n > most ? self->passes[index]->n : most;
    return network_input_elements(self) * (size_t)(most + self->room) * dtype_bytes(self->type);
}

void network_give_room(network *self, int samples) {
    self->room = samples;
    for (int lane = 1; lane < self->lane_count; lane++)
        network_lane(self, lane)->room = samples;
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
    LS_TRY(seal_one(self, error));
    for (int lane = 1; lane < self->lane_count; lane++)
        LS_TRY(seal_one(network_lane(self, lane), error));
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
static size_t of_all_lanes(const network *self, size_t bytes) {
    return bytes * (size_t)(self->lane_count > 1 ? self->lane_count : 1);
}
size_t network_arena_bytes(const network *self) {
    return of_all_lanes(self, self->arena_bytes + (size_t)wanted_inputs(self) * input_bytes(self));
}
size_t network_workspace_bytes(const network *self) {
    size_t most = 0;
    for (int index = 0; index < self->pass_count; index++)
        if (self->passes[index]->workspace_bytes > most)
            most = self->passes[index]->workspace_bytes;
    return of_all_lanes(self, most);
}
size_t network_gathered_bytes(const network *self) {
    return self->gathered_workspace_bytes;
}
tensor_layout network_input_layout(const network *self) {
    return self->layouts[0];
}

int network_ranges(network *self, parameter_range *out) {
    const graph *graph = self->graph;
    int count = 0;
    for (int record = 0; record < graph->record_count; record++) {
        const graph_parameter *of = &graph->parameters[record];
        if (!of->trained)
            continue;
        plan *plan = network_plan_of(self, record);
        void *packed = self->packed[record], *left = self->left[record];
        out[count++] = (parameter_range){.first = of->first,
                                         .count = of->count,
                                         .parameter = record,
                                         .rate_scale = 1,
                                         .packing = packed ? plan : NULL,
                                         .packing_index = of->number,
                                         .packed = packed,
                                         .left = left,
                                         .left_as = left ? &plan->left[of->number] : NULL};
    }
    return count;
}

int network_pack_record(network *self, int record, device_stream *stream, const float *values,
                        ls_error *error) {
    if (!self->packed[record])
        return LS_OK;
    return plan_pack(network_plan_of(self, record), stream, self->graph->parameters[record].number,
                     values, self->packed[record], error);
}

int network_pack_unit(network *self, int unit, device_stream *stream, const float *block,
                      ls_error *error) {
    const graph_layer *layer = graph_unit_layer(self->graph, unit);
    for (int record = layer->first_record; record < layer->first_record + layer->record_count;
         record++)
        LS_TRY(network_pack_record(
            self, record, stream,
            block + (self->graph->parameters[record].first - self->graph->units[unit].first),
            error));
    return LS_OK;
}

int network_pack(network *self, device_stream *stream, const float *parameters, ls_error *error) {
    for (int unit = 0; unit < self->graph->unit_count; unit++)
        LS_TRY(network_pack_unit(self, unit, stream, parameters + self->graph->units[unit].first,
                                 error));
    return LS_OK;
}
