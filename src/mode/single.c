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
    const graph_layer *layer = &s->graph->layers[s->graph->unit_layers[unit]];
    return tree_sum_rows_on(s->device, s->stream, self->gradients + layer->first_weight,
                            self->lane_count, self->lane_stride,
                            layer->weight_count + layer->bias_count, error);
}

static int setup(mode *self, ls_error *error) {
    (void)error;
    if (self->settings.lanes)
        self->hooks.gradient_ready = add_lanes;
    self->hooks.parameters = mode_whole_parameters;
    self->hooks.gradient = mode_whole_gradient;
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
    .capturable = true,
    .takes_made = true,
    .loader_share = mode_loader_own_share,
    .setup = setup,
    .teardown = teardown,
    .begin = mode_begin_own_batch,
    .loss = mode_loss_own_batch,
    .finish = finish,
    .parameters_changed = mode_nothing_to_publish,
    .updates = mode_updates_everywhere,
};
