/* gemini: fsdp whose shards need not fit (ColossalAI's Gemini, see mode/placement.h; ZeRO-Infinity:
 * Rajbhandari et al., SC 2021). Of a rank's parameters, moments and average, pieces beyond
 * --device-memory lie in a file of --offload-dir. Parameters are read from it straight into the
 * slot where their group is gathered, a group ahead; what an update needs is read into frames while
 * backward computes the group before, and written back behind it. What is out has the bits that it
 * would have here: an update is made of pieces anyway. */
#include "mode/fsdp.h"
#include "mode/placement.h"

static int hold_placed(mode *self, const placement *at, ls_error *error) {
    for (store_kind kind = 0; kind < STORE_KINDS; kind++)
        if (at->out[kind])
            LS_TRY(
                store_hold_paged(self->store, kind, at->pieces, at->out[kind], at->count, error));
    return store_update(self->store, at->pieces, at->count, error);
}

static int check(const mode_settings *s, const placement *at, ls_error *error) {
    size_t here = 0;
    if (at->frames == 0 || s->offload_folder)
        return LS_OK;
    for (int kind = 0; kind < STORE_KINDS; kind++)
        here += at->here[kind];
    return ls_fail(error, LS_BAD_INPUT,
                   "--mode gemini: %.1f MB of rank %d's %.1f MB of state do not fit into "
                   "--device-memory %zu: give --offload-dir DIR, or more memory",
                   (double)at->away / 1e6, s->rank, (double)(here + at->away) / 1e6,
                   s->device_memory / 1000000);
}

static int hold(mode *self, ls_error *error) {
    const fsdp_state *state = self->state;
    const mode_settings *s = &self->settings;
    placement at;
    LS_TRY(placement_create(s, &state->groups, &state->shards, &at, error));
    int status = check(s, &at, error);
    if (status == LS_OK)
        status = hold_placed(self, &at, error);
    if (status == LS_OK)
        status = store_open_file(self->store, s->offload_folder, at.frames, at.largest, error);
    placement_destroy(&at);
    return status;
}

/* Ranks that gather from each other do it alike: where it fits on some alone, on none. */
static int agree(const mode_settings *s, bool *fits, ls_error *error) {
    double lacks = !placement_fits(s);
    if (mode_group(s).size > 1 && s->control)
        LS_TRY(comm_allreduce_double(s->control, &lacks, 1, REDUCTION_MAX, error));
    *fits = lacks == 0;
    return LS_OK;
}

static int setup(mode *self, ls_error *error) {
    bool fits;
    if (self->settings.device->facts.asynchronous)
        return ls_fail(
            error, LS_BAD_INPUT,
            "--mode gemini is not built for device %s yet (--device cpu, or --mode fsdp)",
            self->settings.device->is->name);
    LS_TRY(agree(&self->settings, &fits, error));
    return fsdp_open(self, fits ? fsdp_hold_shards : hold, !fits, error);
}

static void plan_placed(const mode_settings *s, const placement *at, size_t bytes[MEMORY_KINDS]) {
    bytes[MEMORY_PARAMETERS] += at->here[STORE_PARAMETERS];
    bytes[MEMORY_GRADIENTS] += at->here[STORE_GRADIENTS];
    for (int kind = STORE_AVERAGE; kind < STORE_KINDS; kind++)
        bytes[MEMORY_OPTIMIZER] += at->here[kind];
    bytes[MEMORY_PARAMETERS] += store_whole_bytes(s->graph->buffer_count, mode_plan_rows(s));
    bytes[MEMORY_COMMUNICATION] += (size_t)at->frames * store_frame_bytes(at->largest);
}

/* As fsdp's: without memory for the cut, nothing. Both are destroyed by the caller. */
static bool place(const mode_settings *s, unit_groups *groups, placement *at) {
    shards shards = {0};
    ls_error error = {0};
    bool placed = unit_groups_create(s->graph, groups, &error) == LS_OK &&
                  shards_create(s->graph, groups->spans, groups->count, mode_group(s).size, &shards,
                                &error) == LS_OK &&
                  placement_create(s, groups, &shards, at, &error) == LS_OK;
    shards_destroy(&shards);
    return placed;
}

static void plan_memory(const mode_settings *s, size_t bytes[MEMORY_KINDS]) {
    unit_groups groups = {0};
    placement at = {0};
    if (placement_fits(s)) {
        fsdp_plan_memory(s, bytes);
        return;
    }
    if (place(s, &groups, &at)) {
        plan_placed(s, &at, bytes);
        gathered_plan_memory(s, &groups, true, bytes);
        scattered_plan_memory(s, &groups, bytes);
        bytes[MEMORY_COMMUNICATION] += batch_sums_bytes(s);
    }
    placement_destroy(&at);
    unit_groups_destroy(&groups);
}

const mode_interface mode_gemini = {
    .name = "gemini",
    .adds_sums = true,
    .has_lanes = true,
    .takes_made = true,
    .gathers = placement_gathers,
    .has_slots = true,
    .adds_parts = true,
    .shards = true,
    .offloads = true,
    .loader_share = mode_loader_own_share,
    .plan_memory = plan_memory,
    .setup = setup,
    .teardown = fsdp_teardown,
    .begin = mode_begin_own_batch,
    .loss = mode_loss_own_batch,
    .finish = fsdp_finish,
    .agree_overflow = fsdp_agree_overflow,
    .add_up = fsdp_add_up,
    .parameters_changed = fsdp_parameters_changed,
};
