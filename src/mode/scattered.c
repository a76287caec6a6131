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
    if (of->settle && s->settled)
        LS_TRY(store_announce(mode->store, STORE_UPDATED,
                              shards_part(g->shards, of->group, mode_group(s).place), error));
    if (s->lanes)
        return outstanding_sum_tree(g->works, of->memory, g->groups->spans[of->group].count,
                                    mode->lane_count, mode->gradient_stride, reader, &of->work,
                                    error);
    return outstanding_reduce_scatter(g->works, of->memory, shards_lengths(g->shards, of->group),
                                      DTYPE_F32, REDUCTION_SUM, reader, &of->work, error);
}

/* ---- its end */

/* The next piece of a part, from `at` on. */
static store_span piece_at(const mode *mode, store_span part, size_t at) {
    size_t end = store_piece_end(mode->store, at), part_end = part.first + part.count;
    return (store_span){at, (end < part_end ? end : part_end) - at};
}

/* A piece of the sum, to where it is held. */
static int keep(scattered *self, const slot *of, store_span piece, const float *sum,
                ls_error *error) {
    mode *mode = self->settings.mode;
    device *device = mode->settings.device;
    device_stream *stream = mode_update_stream(mode);
    store_kinds gradients = STORE_BIT(STORE_GRADIENTS);
    store_slice slice;
    LS_TRY(store_lend(mode->store, of->adds ? gradients : 0, gradients, piece, &slice, error));
    float *held = slice.gradients + (piece.first - slice.origin);
    LS_TRY(of->adds ? device->is->ops->add(device, stream, piece.count, DTYPE_F32, sum, held, error)
                    : device->is->copy(device, stream, held, sum, piece.count * sizeof *sum,
                                       COPY_ON_DEVICE, error));
    return store_return(mode->store, gradients, &slice, error);
}

static int keep_part(scattered *self, const slot *of, store_span part, ls_error *error) {
    size_t group_first = self->settings.groups->spans[of->group].first;
    for (size_t at = part.first; at < part.first + part.count;) {
        store_span piece = piece_at(self->settings.mode, part, at);
        LS_TRY(keep(self, of, piece, of->memory + (piece.first - group_first), error));
        at += piece.count;
    }
    return LS_OK;
}

/* Its update reads the gradient in the slot: element e of the flat array at slice.gradients[e -
 * origin], as of all its arrays. */
static int settle(scattered *self, const slot *of, store_span piece, ls_error *error) {
    mode *mode = self->settings.mode;
    store_slice slice;
    store_kinds reads = STORE_UPDATED;
    if (self->settings.holds)
        reads |= STORE_BIT(STORE_GRADIENTS);
    if (!mode->settings.settled)
        return LS_OK;
    LS_TRY(store_lend(mode->store, reads, STORE_UPDATED, piece, &slice, error));
    ptrdiff_t from_origin =
        (ptrdiff_t)self->settings.groups->spans[of->group].first - (ptrdiff_t)slice.origin;
    if (!self->settings.holds)
        slice.gradients = of->memory - from_origin;
    LS_TRY(mode_settle_slice(mode, &slice, error));
    return store_return(mode->store, STORE_UPDATED, &slice, error);
}

static int settle_part(scattered *self, const slot *of, store_span part, ls_error *error) {
    for (size_t at = part.first; at < part.first + part.count;) {
        store_span piece = piece_at(self->settings.mode, part, at);
        LS_TRY(settle(self, of, piece, error));
        at += piece.count;
    }
    return LS_OK;
}

static int receive(scattered *self, slot *of, ls_error *error) {
    const scattered_settings *g = &self->settings;
    mode *mode = g->mode;
    const mode_settings *s = &mode->settings;
    store_span part = shards_part(g->shards, of->group, mode_group(s).place);
    LS_TRY(step_clock_waiting(mode->clock, error));
    LS_TRY(outstanding_wait(g->works, &of->work, mode_update_stream(mode), error));
    if (g->holds)
        LS_TRY(keep_part(self, of, part, error));
    LS_TRY(step_clock_resumed(mode->clock, error));
    if (of->settle)
        LS_TRY(settle_part(self, of, part, error));
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
