/* A mode made, run and closed, whichever it is, and the storage they share. */
#include "mode/mode.h"
#include "base/hash.h"
#include "mode/accumulate.h"
#include "mode/batch_sums.h"
#include "mode/lanes.h"
#include "mode/modes.h"
#include "mode/parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)BATCH_PLACES == (int)NETWORK_MAX_INPUTS,
               "a batch lies in one of the network's inputs");

int mode_loader_share(const char *name, const mode_settings *settings, int *rank, int *size,
                      ls_error *error) {
    const mode_interface *chosen = mode_find(name, error);
    if (!chosen)
        return error->code;
    chosen->loader_share(settings, rank, size);
    return LS_OK;
}

int mode_micro_count(const char *name, const mode_settings *settings, int64_t global_count,
                     int number, int *out, ls_error *error) {
    const mode_interface *chosen = mode_find(name, error);
    if (!chosen)
        return error->code;
    *out = micro_batch_of(chosen, settings, global_count, number).count;
    return LS_OK;
}

/* What is communicated most lies in memory that the comm serves best. */
static int create_store(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    store_settings settings = {.device = s->device,
                               .comm = mode_group(s).comm,
                               .parameter_count = s->graph->parameter_count,
                               .buffer_count = s->graph->buffer_count,
                               .moments = s->moments,
                               .averages = s->averages,
                               .rows = self->lane_count};
    return store_create(&settings, &self->store, error);
}

/* Where no mode of this network has placed them yet. */
static int hold_packed(mode *self, ls_error *error) {
    network *network = self->settings.network;
    if (network_is_packed(network) || mode_gathers(self))
        return LS_OK;
    for (int record = 0; record < self->settings.graph->record_count; record++) {
        size_t bytes = network_packed_bytes(network, record);
        void *memory;
        if (bytes == 0)
            continue;
        LS_TRY(
            store_take(self->store, MEMORY_PACKED, false, bytes, "packed weights", &memory, error));
        network_place_packed(network, record, memory);
        self->has_packed = true;
    }
    return LS_OK;
}

static void drop_packed(mode *self) {
    for (int record = 0; self->has_packed && record < self->settings.graph->record_count; record++)
        network_place_packed(self->settings.network, record, NULL);
}

int mode_plan_memory(const char *name, const mode_settings *s, size_t bytes[MEMORY_KINDS],
                     ls_error *error) {
    const mode_interface *chosen = mode_find(name, error);
    if (!chosen)
        return error->code;
    for (memory_kind use = 0; use < MEMORY_KINDS; use++)
        bytes[use] = 0;
    if (chosen->plan_memory) {
        chosen->plan_memory(s, bytes);
    } else {
        mode_plan_whole(s, bytes);
        mode_plan_updates(s, s->graph->parameter_count, s->graph->parameter_count, bytes);
    }
    mode_plan_rest(s, s->lanes || !chosen->adds_parts, !chosen->gathers || !chosen->gathers(s),
                   bytes);
    return LS_OK;
}

void mode_memory(const mode *self, size_t bytes[MEMORY_KINDS]) {
    const network *network = self->settings.network;
    for (memory_kind use = 0; use < MEMORY_KINDS; use++)
        bytes[use] = store_memory(self->store, use);
    if (network_leaves_gradients(network))
        bytes[MEMORY_GRADIENTS] += network_left_bytes(network);
    bytes[MEMORY_ACTIVATIONS] += network_arena_bytes(network) - network_workspace_bytes(network);
    bytes[MEMORY_WORKSPACE] += network_workspace_bytes(network) + network_gathered_bytes(network);
}

static int create_events(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    if (!s->settled || s->update_stream == s->stream)
        return LS_OK;
    LS_TRY(device_order_create(s->device, &self->settled_event, error));
    return device_order_create(s->device, &self->updated_event, error);
}

static int allocate_totals(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    return s->device->is->allocate(s->device, (size_t)self->lane_count * sizeof *self->totals,
                                   "totals", (void **)&self->totals, error);
}

static int take_squares(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    if (!s->sums_squares)
        return LS_OK;
    return store_take(self->store, MEMORY_OPTIMIZER, false,
                      mode_count_squares(s->graph) * sizeof *self->squares, "sums of squares",
                      (void **)&self->squares, error);
}

int mode_create(const char *name, const mode_settings *settings, mode **out, ls_error *error) {
    const mode_interface *chosen = mode_find(name, error);
    if (!chosen)
        return error->code;
    LS_TRY(batch_sums_check(settings, error));
    mode *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->is = chosen;
    self->settings = *settings;
    if (settings->micro_batches == 0)
        self->settings.micro_batches = 1;
    self->hooks.context = self;
    self->hooks.draws = &self->draws;
    self->lane_count = settings->lanes ? settings->lanes / settings->size : 1;
    int status = step_clock_create(settings->device, settings->stream, &self->clock, error);
    if (status == LS_OK)
        status = create_events(self, error);
    if (status == LS_OK)
        status = create_store(self, error);
    if (status == LS_OK)
        status = allocate_totals(self, error);
    if (status == LS_OK)
        status = take_squares(self, error);
    if (status == LS_OK)
        status = hold_packed(self, error);
    if (status == LS_OK)
        status = chosen->setup(self, error);
    if (status == LS_OK && self->gradient_stride == 0)
        self->gradient_stride = store_row_stride(self->store, STORE_GRADIENTS);
    if (status == LS_OK && settings->lanes)
        status = lanes_create(self, &self->lanes, error);
    if (status == LS_OK && self->settings.micro_batches > 1 &&
        !(chosen->adds_parts && !settings->lanes))
        status = accumulator_create(self, &self->accumulator, error);
    if (status != LS_OK) {
        mode_destroy(self);
        return status;
    }
    *out = self;
    return LS_OK;
}

static uint64_t hash_exchange(const mode *self, uint64_t hash) {
    const mode_exchange *exchange = &self->exchange;
    hash = hash_bytes(hash, &exchange->bucket_most, sizeof exchange->bucket_most);
    hash = hash_bytes(hash, &exchange->bucket_worth, sizeof exchange->bucket_worth);
    for (int unit = 0; unit < self->settings.graph->unit_count; unit++)
        hash = hash_bytes(hash, &exchange->units[unit].factors, sizeof(bool));
    if (self->settings.group.size > 0)
        hash = hash_bytes(hash, &self->settings.group.size, sizeof self->settings.group.size);
    return hash;
}

int mode_rest(mode *self, ls_error *error) {
    return store_arrive(self->store, error);
}

/* What all ranks' images move is the last rank's, which has some in every batch; the first may have
 * none in a short one. */
int mode_share_buffers(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    size_t count = s->graph->buffer_count;
    int whose = self->hooks.sums ? s->size - 1 : 0;
    comm_work work = {0};
    if (count == 0 || s->size == 1)
        return LS_OK;
    LS_TRY(mode_rest(self, error));
    LS_TRY(s->comm->is->broadcast(s->comm, s->stream,
                                  store_at(self->store, STORE_BUFFERS, 0, count), count, DTYPE_F32,
                                  whose, &work, error));
    return s->comm->is->wait(s->comm, s->stream, &work, error);
}

void mode_plan_id(const mode *self, char out[17]) {
    const mode_exchange *exchange = &self->exchange;
    network_plan_id(self->settings.network, out);
    uint64_t hash = hash_bytes(HASH_START, out, strlen(out));
    bool chose = exchange->used && !self->lanes;
    if (self->lanes)
        hash = hash_bytes(hash, &self->settings.lanes, sizeof self->settings.lanes);
    if (self->accumulator)
        hash = hash_bytes(hash, &self->settings.micro_batches, sizeof self->settings.micro_batches);
    if (chose)
        hash = hash_exchange(self, hash);
    if (self->lanes || self->accumulator || chose)
        snprintf(out, 17, "%016" PRIx64, hash);
}

static pass *own_pass(const mode *self) {
    return network_pass(self->settings.network, self->at_hand.count);
}

static const network_hooks *own_hooks(const mode *self) {
    return self->accumulator ? accumulator_hooks(self->accumulator) : &self->hooks;
}

int mode_begin(mode *self, const input_batch *batch, int number, ls_error *error) {
    self->at_hand = micro_batch_of(self->is, &self->settings, batch->global_count, number);
    self->draws = (op_draws){self->settings.seed, batch->state, self->at_hand.place};
    if (self->lanes)
        return lanes_begin(self->lanes, batch, error);
    return self->is->begin(self, batch, own_pass(self), error);
}

int mode_make(mode *self, device_stream *stream, const input_batch *batch, ls_error *error) {
    if (self->lanes)
        return lanes_make(self->lanes, stream, batch, error);
    return mode_make_part(self, stream, batch, (share){0, batch->loaded},
                          network_input(self->settings.network, batch->place), error);
}

int mode_forward(mode *self, const input_batch *batch, ls_error *error) {
    if (self->lanes)
        return lanes_forward(self->lanes, error);
    return network_forward(self->settings.network, own_pass(self), batch->training,
                           self->settings.stream, own_hooks(self), error);
}

int mode_loss(mode *self, const input_batch *batch, ls_error *error) {
    return self->lanes ? lanes_loss(self->lanes, batch, error)
                       : self->is->loss(self, batch, own_pass(self), error);
}

int mode_backward(mode *self, ls_error *error) {
    if (self->lanes)
        return lanes_backward(self->lanes, error);
    return network_backward(self->settings.network, own_pass(self), self->settings.stream,
                            own_hooks(self), error);
}

void mode_destroy(mode *self) {
    if (!self)
        return;
    if (self->state)
        self->is->teardown(self);
    lanes_destroy(self->lanes);
    accumulator_destroy(self->accumulator);
    if (self->totals)
        self->settings.device->is->release(self->settings.device, self->totals);
    drop_packed(self);
    store_destroy(self->store);
    device_event *events[] = {self->settled_event, self->updated_event};
    for (size_t index = 0; index < sizeof events / sizeof events[0]; index++)
        if (events[index])
            self->settings.device->is->event_destroy(self->settings.device, events[index]);
    step_clock_destroy(self->clock);
    free(self->exchange.units);
    free(self);
}
