/* fsdp: FullyShardedDataParallel (Zhao et al., "PyTorch FSDP: Experiences on Scaling Fully Sharded
 * Data Parallel", VLDB 2023; ZeRO's third stage: Rajbhandari et al., "ZeRO: Memory Optimizations
 * Toward Training Trillion Parameter Models", SC 2020). A rank holds a part of each group of units
 * (mode/unit_groups.h): of its parameters, its gradients and what the optimizer keeps. A group's
 * parameters are gathered ahead of their use, in forward and again in backward, into a few slots
 * (mode/gathered.h); its gradients are reduced as soon as backward has written them, and this
 * rank's part is updated beside the backward of the groups before it (mode/scattered.h).
 *
 * On one node ranks hold their parts of the parameters in one memory, where each finds all of them.
 *
 * One rank holds all of everything, and gathers nothing. With --shard-within (hybrid sharding, HSDP
 * of the same paper) parts are cut over a group of ranks, those of a node say, each of which has
 * its counterparts in the other groups: what is gathered stays inside a group, and a part's
 * gradient is summed inside it first and then over its counterparts (comm/groups.h). */
#include "mode/fsdp.h"

#include <stdlib.h>

/* ---- hooks */

static int comes_to(void *context, int unit, bool backward, ls_error *error) {
    fsdp_state *state = ((mode *)context)->state;
    return gathered_come_to(state->gathered, unit, backward, error);
}

static int parameters(void *context, int unit, const float **out, ls_error *error) {
    fsdp_state *state = ((mode *)context)->state;
    return gathered_take(state->gathered, unit, out, error);
}

static int released(void *context, int unit, ls_error *error) {
    fsdp_state *state = ((mode *)context)->state;
    (void)error;
    gathered_leave(state->gathered, unit);
    return LS_OK;
}

static int gradient(void *context, int unit, float **out, ls_error *error) {
    fsdp_state *state = ((mode *)context)->state;
    return scattered_gradient(state->scattered, unit, out, error);
}

static int gradient_ready(void *context, int unit, ls_error *error) {
    fsdp_state *state = ((mode *)context)->state;
    return scattered_ready(state->scattered, unit, error);
}

static int between(void *context, ls_error *error) {
    mode *self = context;
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(outstanding_progress(&((fsdp_state *)self->state)->works, error));
    return step_clock_resumed(self->clock, error);
}

/* ---- a step */

int fsdp_finish(mode *self, ls_error *error) {
    fsdp_state *state = self->state;
    LS_TRY(scattered_finish(state->scattered, error));
    outstanding_clear(&state->works);
    return LS_OK;
}

/* Each rank looks at its parts. */
int fsdp_agree_overflow(mode *self, int32_t *overflow, ls_error *error) {
    return mode_agree_overflow(self, &((fsdp_state *)self->state)->works, overflow, error);
}

int fsdp_add_up(mode *self, double *values, size_t count, ls_error *error) {
    return mode_add_up_parts(self, &((fsdp_state *)self->state)->works, values, count, error);
}

void fsdp_parameters_changed(mode *self) {
    fsdp_state *state = self->state;
    if (state->gathered)
        gathered_forget(state->gathered);
}

/* ---- open and close */

static bool gathers(const mode_settings *s) {
    return mode_group(s).size > 1;
}

/* A piece that is updated as soon as it is summed needs no place of its own, where nothing looks at
 * gradients later, and no update waits for its neighbours. */
bool fsdp_holds_gradients(const mode_settings *s) {
    bool sums_parts = s->micro_batches > 1 && !s->lanes;
    return !s->settled || s->device->facts.asynchronous || sums_parts;
}

/* Every rank of a group has. */
static int have_parts(const mode *self, ls_error *error) {
    const fsdp_state *state = self->state;
    const mode_settings *s = &self->settings;
    int ranks = mode_group(s).size;
    for (int place = 0; place < ranks; place++) {
        size_t elements = 0;
        for (int group = 0; group < state->groups.count; group++)
            elements += shards_part(&state->shards, group, place).count;
        if (elements == 0)
            return ls_fail(error, LS_BAD_LAUNCH,
                           "--mode %s: %zu parameters leave none of %d for rank %d (start fewer "
                           "ranks, or --mode ddp)",
                           self->is->name, s->graph->parameter_count, ranks, place);
    }
    return LS_OK;
}

int fsdp_hold_shards(mode *self, ls_error *error) {
    fsdp_state *state = self->state;
    store_span *spans = calloc((size_t)state->groups.count + 1, sizeof *spans);
    if (!spans)
        return ls_fail(error, LS_FAILED, "out of memory");
    int count = shards_held(&state->shards, mode_group(&self->settings).place, spans);
    int status = gathered_in_place(&self->settings, false)
                     ? store_hold_common(self->store, STORE_PARAMETERS, spans, count, error)
                     : store_hold_own(self->store, STORE_PARAMETERS, spans, count, error);
    if (status == LS_OK && fsdp_holds_gradients(&self->settings))
        status = store_hold_own(self->store, STORE_GRADIENTS, spans, count, error);
    if (status == LS_OK)
        status = store_update(self->store, spans, count, error);
    free(spans);
    return status;
}

/* One of each rank's parts. Without memory for the cut, nothing: setup will say so. */
void fsdp_plan_memory(const mode_settings *s, size_t bytes[MEMORY_KINDS]) {
    unit_groups groups;
    ls_error error = {0};
    size_t ranks = (size_t)mode_group(s).size;
    size_t part = (s->graph->parameter_count + ranks - 1) / ranks;
    if (unit_groups_create(s->graph, &groups, &error) != LS_OK)
        return;
    bytes[MEMORY_PARAMETERS] +=
        store_whole_bytes(part, 1) + store_whole_bytes(s->graph->buffer_count, mode_plan_rows(s));
    bytes[MEMORY_GRADIENTS] += fsdp_holds_gradients(s) ? store_whole_bytes(part, 1) : 0;
    mode_plan_updates(s, part, part, bytes);
    if (gathers(s))
        gathered_plan_memory(s, &groups, false, bytes);
    scattered_plan_memory(s, &groups, bytes);
    bytes[MEMORY_COMMUNICATION] += batch_sums_bytes(s);
    unit_groups_destroy(&groups);
}

static int open_gathered(mode *self, bool reads, ls_error *error) {
    fsdp_state *state = self->state;
    const mode_settings *s = &self->settings;
    gathered_settings settings = {.mode = self,
                                  .groups = &state->groups,
                                  .shards = &state->shards,
                                  .works = &state->works,
                                  .ahead = s->prefetch,
                                  .keeps = s->keeps_parameters,
                                  .reads = reads};
    self->hooks.comes_to = comes_to;
    self->hooks.parameters = parameters;
    self->hooks.released = released;
    return gathered_create(&settings, &state->gathered, error);
}

static int open_scattered(mode *self, ls_error *error) {
    fsdp_state *state = self->state;
    const mode_settings *s = &self->settings;
    scattered_settings settings = {.mode = self,
                                   .groups = &state->groups,
                                   .shards = &state->shards,
                                   .works = &state->works,
                                   .holds = fsdp_holds_gradients(s)};
    self->hooks.gradient = gradient;
    self->hooks.gradient_ready = gradient_ready;
    return scattered_create(&settings, &state->scattered, error);
}

int fsdp_open(mode *self, fsdp_hold hold, bool reads, ls_error *error) {
    const mode_settings *s = &self->settings;
    fsdp_state *state = calloc(1, sizeof *state);
    if (!state)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->state = state;
    state->works = (outstanding){.comm = mode_group(s).comm, .stream = s->stream};
    LS_TRY(unit_groups_create(s->graph, &state->groups, error));
    LS_TRY(shards_create(s->graph, state->groups.spans, state->groups.count, mode_group(s).size,
                         &state->shards, error));
    LS_TRY(have_parts(self, error));
    LS_TRY(hold(self, error));
    LS_TRY(store_hold_whole(self->store, STORE_BUFFERS, error));
    self->hooks.buffers = mode_whole_buffers;
    self->hooks.parameters = mode_whole_parameters;
    if (!s->device->facts.asynchronous) /* there, the comm gets on by itself */
        self->hooks.between = between;
    if (mode_gathers(self))
        LS_TRY(open_gathered(self, reads, error));
    LS_TRY(open_scattered(self, error));
    /* Behind a gradient's sum the others update what this rank reads: not before it is done. */
    if (store_common(self->store, STORE_PARAMETERS)) {
        self->hooks.backward_done = self->hooks.gradient_ready;
        self->hooks.gradient_ready = NULL;
    }
    if (s->between_nodes && !s->device->facts.asynchronous)
        LS_TRY(outstanding_start_pump(&state->works, error));
    return batch_sums_open(&state->sums, self, &state->works, error);
}

static int setup(mode *self, ls_error *error) {
    return fsdp_open(self, fsdp_hold_shards, false, error);
}

void fsdp_teardown(mode *self) {
    fsdp_state *state = self->state;
    pump_stop(state->works.pump);
    gathered_destroy(state->gathered);
    scattered_destroy(state->scattered);
    store_give_back(self->store, state->sums.given.values);
    shards_destroy(&state->shards);
    unit_groups_destroy(&state->groups);
    free(state);
}

const mode_interface mode_fsdp = {
    .name = "fsdp",
    .adds_sums = true,
    .has_lanes = true,
    .takes_made = true,
    .gathers = gathers,
    .has_slots = true,
    .adds_parts = true,
    .shards = true,
    .loader_share = mode_loader_own_share,
    .plan_memory = fsdp_plan_memory,
    .setup = setup,
    .teardown = fsdp_teardown,
    .begin = mode_begin_own_batch,
    .loss = mode_loss_own_batch,
    .finish = fsdp_finish,
    .agree_overflow = fsdp_agree_overflow,
    .add_up = fsdp_add_up,
    .parameters_changed = fsdp_parameters_changed,
};
