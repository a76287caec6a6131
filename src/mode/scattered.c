#include "mode/scattered.h"

#include "mode/parts.h"

#include <stdlib.h>

/* One is written while the other is reduced. */
enum { SLOTS = 2, NO_GROUP = -1 };

typedef struct slot {
    int group;
    bool sent;   /* its reduction has begun */
    bool settle; /* what it comes to is the step's */
    bool adds;   /* to what the step's micro-batches before have come to */
    float *memory;
    comm_work work;
} slot;

struct scattered {
    scattered_settings settings;
    int slot_count;
    slot slots[SLOTS];
};

/* Backward comes from the last group on, and takes the slots in turn. */
static slot *slot_of(scattered *self, int group) {
    int last = self->settings.groups->count - 1;
    return &self->slots[(last - group) % self->slot_count];
}

/* ---- the reduction */

static int reduce(scattered *self, slot *of, ls_error *error) {
    const scattered_settings *g = &self->settings;
    const mode *mode = g->mode;
    const mode_settings *s = &mode->settings;
    device_stream *reader = mode_update_stream(mode);
    of->sent = true;
    of->settle = !mode->accumulator ? mode->at_hand.number == s->micro_batches - 1 : true;
    of->adds = !mode->accumulator && mode->at_hand.number > 0;
    if (s->lanes)
        return outstanding_sum_tree(g->works, of->memory, g->groups->spans[of->group].count,
                                    mode->lane_count, mode->gradient_stride, reader, &of->work,
                                    error);
    return outstanding_reduce_scatter(g->works, of->memory, shards_lengths(g->shards, of->group),
                                      DTYPE_F32, REDUCTION_SUM, reader, &of->work, error);
}

/* ---- its end */

static float *held(const scattered *self, store_span part) {
    return store_at(self->settings.mode->store, STORE_GRADIENTS, part.first, part.count);
}

/* This rank's part of the sum, to where it is held. */
static int keep(scattered *self, const slot *of, store_span part, const float *sum,
                ls_error *error) {
    const mode *mode = self->settings.mode;
    device *device = mode->settings.device;
    device_stream *stream = mode_update_stream(mode);
    if (of->adds)
        return device->is->ops->add(device, stream, part.count, DTYPE_F32, sum, held(self, part),
                                    error);
    return device->is->copy(device, stream, held(self, part), sum, part.count * sizeof *sum,
                            COPY_ON_DEVICE, error);
}

/* Its update reads the gradient in the slot: element e of the flat array at slice.gradients[e -
 * origin], as of all its arrays. */
static int settle(scattered *self, const slot *of, store_span part, ls_error *error) {
    mode *mode = self->settings.mode;
    store_slice slice = store_slice_of(mode->store, part.first, part.count);
    ptrdiff_t from_origin =
        (ptrdiff_t)self->settings.groups->spans[of->group].first - (ptrdiff_t)slice.origin;
    if (!self->settings.holds)
        slice.gradients = of->memory - from_origin;
    return mode_settle_slice(mode, &slice, error);
}

static int receive(scattered *self, slot *of, ls_error *error) {
    const scattered_settings *g = &self->settings;
    mode *mode = g->mode;
    const mode_settings *s = &mode->settings;
    store_span part = shards_part(g->shards, of->group, mode_group(s).place);
    LS_TRY(step_clock_waiting(mode->clock, error));
    LS_TRY(outstanding_wait(g->works, &of->work, mode_update_stream(mode), error));
    if (g->holds && part.count > 0)
        LS_TRY(keep(self, of, part, of->memory + (part.first - g->groups->spans[of->group].first),
                    error));
    LS_TRY(step_clock_resumed(mode->clock, error));
    if (of->settle && part.count > 0)
        LS_TRY(settle(self, of, part, error));
    of->group = NO_GROUP;
    of->sent = false;
    return LS_OK;
}

/* ---- hooks */

/* What a micro-batch before the last has left in the slot was taken by the accumulator. */
static int acquire(scattered *self, slot *mine, int group, ls_error *error) {
    if (mine->sent) {
        LS_TRY(receive(self, mine, error));
        LS_TRY(mode_join_updates(self->settings.mode, error)); /* they have read the slot */
    }
    mine->group = group;
    return LS_OK;
}

int scattered_gradient(scattered *self, int unit, float **out, ls_error *error) {
    const unit_groups *groups = self->settings.groups;
    const graph *graph = self->settings.mode->settings.graph;
    int group = groups->of_unit[unit];
    slot *mine = slot_of(self, group);
    if (mine->group != group || mine->sent)
        LS_TRY(acquire(self, mine, group, error));
    *out = mine->memory + (graph->units[unit].first - groups->spans[group].first);
    return LS_OK;
}

/* Units are announced from the last one on: the group's first is its last. */
int scattered_ready(scattered *self, int unit, ls_error *error) {
    const unit_groups *groups = self->settings.groups;
    int group = groups->of_unit[unit];
    if (unit != groups->first_unit[group])
        return LS_OK;
    LS_TRY(step_clock_waiting(self->settings.mode->clock, error));
    LS_TRY(reduce(self, slot_of(self, group), error));
    return step_clock_resumed(self->settings.mode->clock, error);
}

int scattered_finish(scattered *self, ls_error *error) {
    for (int group = self->settings.groups->count - 1; group >= 0; group--) {
        slot *of = slot_of(self, group);
        if (of->group == group && of->sent)
            LS_TRY(receive(self, of, error));
    }
    return LS_OK;
}

/* ---- open and close */

static int count_slots(const unit_groups *groups) {
    return groups->count < SLOTS ? groups->count : SLOTS;
}

void scattered_plan_memory(const mode_settings *s, const unit_groups *groups,
                           size_t bytes[MEMORY_KINDS]) {
    bytes[MEMORY_COMMUNICATION] +=
        (size_t)count_slots(groups) * store_whole_bytes(groups->largest, mode_plan_rows(s));
}

int scattered_create(const scattered_settings *settings, scattered **out, ls_error *error) {
    mode *mode = settings->mode;
    size_t largest = settings->groups->largest, rows = (size_t)mode->lane_count;
    scattered *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    *out = self;
    self->settings = *settings;
    self->slot_count = count_slots(settings->groups);
    mode->gradient_stride = (largest + STORE_GRAIN - 1) / STORE_GRAIN * STORE_GRAIN;
    for (int index = 0; index < self->slot_count; index++) {
        slot *made = &self->slots[index];
        made->group = NO_GROUP;
        LS_TRY(store_take(mode->store, MEMORY_COMMUNICATION, true, store_whole_bytes(largest, rows),
                          "gradients of a group", (void **)&made->memory, error));
    }
    return LS_OK;
}

void scattered_destroy(scattered *self) {
    free(self);
}
