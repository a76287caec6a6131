/* single: one rank, no communication: the baseline that the others are measured against. Where a
 * unit is updated as soon as backward is done with it, no more of the gradient is held than one
 * unit's. */
#include "comm/tree.h"
#include "mode/parts.h"

#include <stdlib.h>

typedef struct single_state {
    float *slot; /* of the largest unit's gradient; NULL: the whole gradient is held */
} single_state;

static float *slot_of(const mode *self) {
    return ((const single_state *)self->state)->slot;
}

/* Backward is done with a unit: its update may run beside the rest. */
static int backward_done(void *context, int unit, ls_error *error) {
    mode *self = context;
    return slot_of(self) ? mode_settle_slot(self, unit, slot_of(self), error)
                         : mode_settle_unit(self, unit, error);
}

static int slot_gradient(void *context, int unit, float **out, ls_error *error) {
    const mode *self = context;
    (void)error;
    *out = slot_of(self) + self->settings.graph->units[unit].first % STORE_GRAIN;
    return LS_OK;
}

/* With lanes: all have written the unit's gradient. */
static int add_lanes(void *context, int unit, ls_error *error) {
    mode *self = context;
    const mode_settings *s = &self->settings;
    return tree_sum_rows_on(s->device, s->stream, mode_unit(self, STORE_GRADIENTS, unit),
                            self->lane_count, store_row_stride(self->store, STORE_GRADIENTS),
                            s->graph->units[unit].count, error);
}

/* Nobody but the update reads the gradients, each unit's when it is written. */
static bool only_updates(const mode_settings *s) {
    return s->settled && !s->lanes && s->micro_batches <= 1;
}

/* And the update is made before backward writes the next one. */
static bool has_slot(const mode_settings *s) {
    const device_facts *facts = &s->device->facts;
    return s->forgets_gradients && only_updates(s) && !facts->asynchronous &&
           facts->least_update == 0 && network_left_bytes(s->network) == 0;
}

static size_t slot_bytes(const mode_settings *s) {
    size_t most = 0;
    for (int unit = 0; unit < s->graph->unit_count; unit++)
        if (s->graph->units[unit].count > most)
            most = s->graph->units[unit].count;
    return (most + STORE_GRAIN) * sizeof(float);
}

static void plan_memory(const mode_settings *s, size_t bytes[MEMORY_KINDS]) {
    mode_plan_whole(s, bytes);
    mode_plan_updates(s, s->graph->parameter_count, s->graph->parameter_count, bytes);
    if (has_slot(s))
        bytes[MEMORY_GRADIENTS] = slot_bytes(s);
    else if (only_updates(s))
        bytes[MEMORY_GRADIENTS] += network_left_bytes(s->network);
}

static int hold(mode *self, ls_error *error) {
    single_state *state = self->state;
    const mode_settings *s = &self->settings;
    if (!has_slot(s))
        return mode_hold_whole(self, error);
    LS_TRY(store_hold_whole(self->store, STORE_PARAMETERS, error));
    LS_TRY(store_hold_whole(self->store, STORE_BUFFERS, error));
    return store_take(self->store, MEMORY_GRADIENTS, false, slot_bytes(s), "a unit's gradient",
                      (void **)&state->slot, error);
}

static int setup(mode *self, ls_error *error) {
    self->state = calloc(1, sizeof(single_state));
    if (!self->state)
        return ls_fail(error, LS_FAILED, "out of memory");
    if (only_updates(&self->settings))
        LS_TRY(network_leave_gradients(self->settings.network, error));
    LS_TRY(hold(self, error));
    LS_TRY(store_update_whole(self->store, error));
    if (self->settings.lanes)
        self->hooks.gradient_ready = add_lanes;
    self->hooks.parameters = mode_whole_parameters;
    self->hooks.gradient = slot_of(self) ? slot_gradient : mode_whole_gradient;
    self->hooks.buffers = mode_whole_buffers;
    self->hooks.backward_done = backward_done;
    return LS_OK;
}

static void teardown(mode *self) {
    free(self->state);
}

static int finish(mode *self, ls_error *error) {
    (void)self, (void)error;
    return LS_OK;
}

const mode_interface mode_single = {
    .name = "single",
    .one_rank = true,
    .adds_sums = true,
    .capturable = true,
    .has_lanes = true,
    .takes_made = true,
    .loader_share = mode_loader_own_share,
    .plan_memory = plan_memory,
    .setup = setup,
    .teardown = teardown,
    .begin = mode_begin_own_batch,
    .loss = mode_loss_own_batch,
    .finish = finish,
    .parameters_changed = mode_nothing_to_publish,
};
