/* single: one rank, no communication: the baseline that the others are measured against. */
#include "comm/tree.h"
#include "mode/parts.h"

/* Backward is done with a unit: its update may run beside the rest. */
static int backward_done(void *context, int unit, ls_error *error) {
    return mode_settle_unit(context, unit, error);
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
static bool only_updates(const mode *self) {
    const mode_settings *s = &self->settings;
    return s->settled && !s->lanes && s->micro_batches == 1;
}

static int setup(mode *self, ls_error *error) {
    if (only_updates(self))
        LS_TRY(network_leave_gradients(self->settings.network, error));
    LS_TRY(mode_hold_whole(self, error));
    LS_TRY(store_update_whole(self->store, error));
    if (self->settings.lanes)
        self->hooks.gradient_ready = add_lanes;
    self->hooks.parameters = mode_whole_parameters;
    self->hooks.gradient = mode_whole_gradient;
    self->hooks.buffers = mode_whole_buffers;
    self->hooks.backward_done = backward_done;
    return LS_OK;
}

static void teardown(mode *self) {
    (void)self;
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
    .setup = setup,
    .teardown = teardown,
    .begin = mode_begin_own_batch,
    .loss = mode_loss_own_batch,
    .finish = finish,
    .parameters_changed = mode_nothing_to_publish,
};
