#include "mode/gathered.h"

#include "mode/gathered_low.h"
#include "mode/parts.h"

#include <stdlib.h>

typedef enum { SLOT_EMPTY, SLOT_WANTED, SLOT_THERE, SLOT_USED } slot_state;

/* WANTED: on its way, or there and about to be used; it is not taken for another group. */
typedef struct slot {
    slot_state state;
    int group;
    bool packed; /* what it has was waited for, and copies were made */
    bool sent;   /* the gather has begun; before, the own part may still be read */
    offload_ticket read;
    int left; /* units of the group that this walk has used */
    uint64_t used;
    float *own;          /* memory of the slot's; NULL: none */
    const float *memory; /* where the group lies */
    char *copies;        /* NULL: no unit has any but low's */
    gathered_low_slot low;
    comm_work work;
} slot;

struct gathered {
    gathered_settings settings;
    gathered_low low;
    const float *whole; /* where all parameters lie, of all ranks; NULL: groups come into slots */
    bool stale;         /* they changed since the ranks met */
    comm_work met;
    uint64_t uses;
    int slot_count;
    slot *slots;
};

/* ---- packed copies, one after the other */

static size_t aligned(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

/* Of a group's units, but for what low has in memory of its own; with `into`, they lie there now.
 */
static size_t place_copies(const gathered_low *low, int group, const slot *into) {
    const mode_settings *s = low->settings;
    const unit_groups *groups = low->groups;
    size_t bytes = 0;
    for (int unit = groups->first_unit[group]; unit < groups->first_unit[group + 1]; unit++) {
        const graph_layer *layer = graph_unit_layer(s->graph, unit);
        for (int index = 0; index < layer->record_count; index++) {
            int record = layer->first_record + index;
            bool is_low = low->is_low && low->is_low[record];
            size_t own = is_low ? 0 : network_packed_bytes(s->network, record);
            if (into && is_low)
                network_place_packed(s->network, record,
                                     gathered_low_copy(low, group, record, &into->low));
            else if (into && own > 0)
                network_place_packed(s->network, record, into->copies + bytes);
            bytes += aligned(own);
        }
    }
    return bytes;
}

static int copy_unit(const gathered *self, const slot *of, int unit, ls_error *error) {
    const mode_settings *s = &self->settings.mode->settings;
    const graph_layer *layer = graph_unit_layer(s->graph, unit);
    size_t first = self->settings.groups->spans[of->group].first;
    for (int record = layer->first_record; record < layer->first_record + layer->record_count;
         record++) {
        const graph_parameter *each = &s->graph->parameters[record];
        if (each->trained && !(self->low.is_low && self->low.is_low[record]))
            LS_TRY(network_pack_record(s->network, record, s->stream,
                                       of->memory + (each->first - first), error));
    }
    return LS_OK;
}

static int make_copies(const gathered *self, const slot *of, ls_error *error) {
    const unit_groups *groups = self->settings.groups;
    if (!of->copies)
        return LS_OK;
    for (int unit = groups->first_unit[of->group]; unit < groups->first_unit[of->group + 1]; unit++)
        LS_TRY(copy_unit(self, of, unit, error));
    return LS_OK;
}

/* ---- slots */

static slot *find(const gathered *self, int group) {
    for (int index = 0; index < self->slot_count; index++)
        if (self->slots[index].state != SLOT_EMPTY && self->slots[index].group == group)
            return &self->slots[index];
    return NULL;
}

/* An empty one, else the one that was used longest ago. NULL: all are wanted. */
static slot *choose(const gathered *self, int group) {
    slot *oldest = NULL;
    if (self->settings.keeps)
        return &self->slots[group];
    for (int index = 0; index < self->slot_count; index++) {
        slot *each = &self->slots[index];
        if (each->state == SLOT_EMPTY)
            return each;
        if (each->state == SLOT_THERE && (!oldest || each->used < oldest->used))
            oldest = each;
    }
    return oldest;
}

/* This rank's part comes to its place. */
static int begin(gathered *self, int group, slot *into, ls_error *error) {
    const gathered_settings *g = &self->settings;
    const mode_settings *s = &g->mode->settings;
    store_span part = shards_part(g->shards, group, mode_group(s).place);
    *into = (slot){.state = SLOT_WANTED,
                   .group = group,
                   .own = into->own,
                   .memory = into->own,
                   .copies = into->copies,
                   .low = into->low};
    if (self->whole)
        into->memory = self->whole + g->groups->spans[group].first;
    if (self->whole || part.count == 0 || gathered_low_has(&self->low, group))
        return LS_OK;
    return store_fetch(g->mode->store, s->stream, STORE_PARAMETERS, part,
                       into->own + (part.first - g->groups->spans[group].first), &into->read,
                       error);
}

/* What this rank has updated is there to be read. */
static int meet(gathered *self, ls_error *error) {
    const gathered_settings *g = &self->settings;
    device_stream *stream = g->mode->settings.stream;
    if (!self->stale)
        return LS_OK;
    self->stale = false;
    return outstanding_offer(g->works, (void *)self->whole, sizeof *self->whole, stream, &self->met,
                             error);
}

/* It lies there; the others' come. */
static int gather(gathered *self, slot *into, ls_error *error) {
    const gathered_settings *g = &self->settings;
    const mode_settings *s = &g->mode->settings;
    if (into->sent)
        return LS_OK;
    into->sent = true;
    if (self->whole)
        return meet(self, error);
    if (gathered_low_has(&self->low, into->group))
        return gathered_low_begin(&self->low, g->mode->store, g->works, into->group, &into->low,
                                  &into->work, error);
    LS_TRY(store_fetched(g->mode->store, into->read, error));
    return outstanding_allgather(g->works, s->stream, into->own,
                                 shards_lengths(g->shards, into->group), DTYPE_F32, s->stream,
                                 &into->work, error);
}

static int want(gathered *self, int group, ls_error *error) {
    slot *has = find(self, group);
    if (has) {
        if (has->state == SLOT_THERE)
            has->state = SLOT_WANTED;
        return LS_OK;
    }
    slot *into = choose(self, group);
    if (!into)
        return ls_fail(error, LS_FAILED, "fsdp: no slot is free for group %d of units", group);
    return begin(self, group, into, error);
}

/* Groups that are wanted beside the one in use. */
static int wanted_ahead(const gathered_settings *g) {
    return g->ahead + (g->reads && mode_group(&g->mode->settings).size > 1);
}

/* One rank has nothing to gather, and waits for what it reads when it is used. */
static bool gathers_at(const gathered_settings *g, int distance) {
    return !g->reads || (mode_group(&g->mode->settings).size > 1 && distance <= g->ahead);
}

/* As many groups are wanted before the one in use as there are slots beside it. */
int gathered_come_to(gathered *self, int unit, bool backward, ls_error *error) {
    const unit_groups *groups = self->settings.groups;
    int group = groups->of_unit[unit];
    bool begins =
        unit == (backward ? groups->first_unit[group + 1] - 1 : groups->first_unit[group]);
    if (!begins)
        return LS_OK;
    LS_TRY(step_clock_waiting(self->settings.mode->clock, error));
    for (int distance = 0; distance <= wanted_ahead(&self->settings); distance++) {
        int next = backward ? group - distance : group + distance;
        if (next < 0 || next >= groups->count)
            continue;
        LS_TRY(want(self, next, error));
        if (gathers_at(&self->settings, distance))
            LS_TRY(gather(self, find(self, next), error));
    }
    return step_clock_resumed(self->settings.mode->clock, error);
}

static int arrive(gathered *self, slot *here, ls_error *error) {
    mode *mode = self->settings.mode;
    here->state = SLOT_USED;
    here->left = 0;
    here->used = ++self->uses;
    if (here->copies || gathered_low_has(&self->low, here->group))
        place_copies(&self->low, here->group, here);
    if (here->packed)
        return LS_OK;
    LS_TRY(step_clock_waiting(mode->clock, error));
    LS_TRY(gather(self, here, error));
    LS_TRY(outstanding_wait(self->settings.works, self->whole ? &self->met : &here->work,
                            mode->settings.stream, error));
    if (gathered_low_has(&self->low, here->group))
        LS_TRY(gathered_low_arrive(&self->low, self->settings.works, here->group, &here->low,
                                   here->own, error));
    LS_TRY(step_clock_resumed(mode->clock, error));
    here->packed = true;
    return make_copies(self, here, error);
}

int gathered_take(gathered *self, int unit, const float **out, ls_error *error) {
    const unit_groups *groups = self->settings.groups;
    int group = groups->of_unit[unit];
    slot *here = find(self, group);
    if (!here || here->state == SLOT_THERE)
        return ls_fail(error, LS_FAILED, "fsdp: nobody has come to unit %d", unit);
    if (here->state == SLOT_WANTED)
        LS_TRY(arrive(self, here, error));
    const graph *graph = self->settings.mode->settings.graph;
    *out = here->memory + (graph->units[unit].first - groups->spans[group].first);
    return LS_OK;
}

void gathered_leave(gathered *self, int unit) {
    const unit_groups *groups = self->settings.groups;
    int group = groups->of_unit[unit];
    slot *here = find(self, group);
    if (here && ++here->left == groups->first_unit[group + 1] - groups->first_unit[group])
        here->state = SLOT_THERE;
}

void gathered_forget(gathered *self) {
    for (int index = 0; index < self->slot_count; index++)
        self->slots[index].state = SLOT_EMPTY;
    self->stale = true;
}

/* ---- open and close */

bool gathered_in_place(const mode_settings *s, bool reads) {
    return !reads && s->size > 1 && s->comm && mode_group(s).comm == s->comm && !s->between_nodes &&
           s->comm->is->allocate_common && dtype_bytes(network_type(s->network)) == sizeof(float);
}

/* A slot's: of its group, where each has one, else of the largest. */
static size_t bytes_of_copies(const gathered_low *low, bool keeps, int slot) {
    size_t most = 0;
    if (keeps)
        return place_copies(low, slot, NULL);
    for (int group = 0; group < low->groups->count; group++) {
        size_t bytes = place_copies(low, group, NULL);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static size_t low_bytes(const gathered_low *low, bool keeps, int slot) {
    return low->is_low ? (keeps ? low->low[slot] : low->most_low) * dtype_bytes(low->type) : 0;
}

static size_t rest_bytes(const gathered_low *low, bool keeps, int slot) {
    if (!low->is_low || (keeps && low->low[slot] == 0))
        return 0;
    return (keeps ? low->rest[slot] : low->most_rest) * sizeof(float);
}

static size_t elements_of_slot(const unit_groups *groups, bool keeps, int slot) {
    return keeps ? groups->spans[slot].count : groups->largest;
}

static int count_slots(const unit_groups *groups, int ahead, bool keeps) {
    return keeps || ahead + 1 > groups->count ? groups->count : ahead + 1;
}

/* What is read comes in fp32, right to where it is gathered. */
static int open_low(const mode_settings *s, const unit_groups *groups, const shards *shards,
                    bool reads, gathered_low *out, ls_error *error) {
    if (!reads)
        return gathered_low_create(s, groups, shards, out, error);
    *out = (gathered_low){.settings = s, .groups = groups, .shards = shards};
    return LS_OK;
}

static size_t memory_bytes(const unit_groups *groups, bool in_place, bool keeps, int slot) {
    return in_place ? 0 : elements_of_slot(groups, keeps, slot) * sizeof(float);
}

static void plan_slots(const mode_settings *s, const gathered_low *low, bool reads,
                       size_t bytes[MEMORY_KINDS]) {
    int ahead = s->prefetch + (reads && mode_group(s).size > 1);
    int count = count_slots(low->groups, ahead, s->keeps_parameters);
    bool keeps = count == low->groups->count;
    for (int slot = 0; slot < count; slot++) {
        bytes[MEMORY_COMMUNICATION] +=
            memory_bytes(low->groups, gathered_in_place(s, reads), keeps, slot) +
            low_bytes(low, keeps, slot) + rest_bytes(low, keeps, slot);
        bytes[MEMORY_PACKED] += bytes_of_copies(low, keeps, slot);
    }
}

void gathered_plan_memory(const mode_settings *s, const unit_groups *groups, bool reads,
                          size_t bytes[MEMORY_KINDS]) {
    shards shards;
    gathered_low low;
    ls_error error = {0};
    if (shards_create(s->graph, groups->spans, groups->count, mode_group(s).size, &shards,
                      &error) != LS_OK)
        return;
    if (open_low(s, groups, &shards, reads, &low, &error) == LS_OK)
        plan_slots(s, &low, reads, bytes);
    gathered_low_destroy(&low);
    shards_destroy(&shards);
}

static int take(gathered *self, memory_kind use, size_t bytes, const char *what, void **out,
                ls_error *error) {
    bool of_comm = use == MEMORY_COMMUNICATION;
    if (bytes == 0)
        return LS_OK;
    return store_take(self->settings.mode->store, use, of_comm, bytes, what, out, error);
}

static int take_memory(gathered *self, int index, ls_error *error) {
    const gathered_settings *g = &self->settings;
    slot *made = &self->slots[index];
    LS_TRY(take(self, MEMORY_COMMUNICATION,
                memory_bytes(g->groups, self->whole != NULL, g->keeps, index),
                "gathered parameters", (void **)&made->own, error));
    LS_TRY(take(self, MEMORY_COMMUNICATION, low_bytes(&self->low, g->keeps, index),
                "gathered weights", &made->low.low, error));
    LS_TRY(take(self, MEMORY_COMMUNICATION, rest_bytes(&self->low, g->keeps, index),
                "gathered parameters beside weights", (void **)&made->low.rest, error));
    return take(self, MEMORY_PACKED, bytes_of_copies(&self->low, g->keeps, index), "packed weights",
                (void **)&made->copies, error);
}

int gathered_create(const gathered_settings *settings, gathered **out, ls_error *error) {
    int groups = settings->groups->count;
    gathered *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    *out = self;
    self->settings = *settings;
    self->slot_count = count_slots(settings->groups, wanted_ahead(settings), settings->keeps);
    self->settings.keeps = self->slot_count == groups;
    self->slots = calloc((size_t)self->slot_count, sizeof *self->slots);
    if (!self->slots)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->whole = store_common(settings->mode->store, STORE_PARAMETERS);
    self->stale = true;
    LS_TRY(open_low(&settings->mode->settings, settings->groups, settings->shards, settings->reads,
                    &self->low, error));
    for (int index = 0; index < self->slot_count; index++)
        LS_TRY(take_memory(self, index, error));
    return LS_OK;
}

void gathered_destroy(gathered *self) {
    if (!self)
        return;
    gathered_low_destroy(&self->low);
    free(self->slots);
    free(self);
}
