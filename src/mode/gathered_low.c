#include "mode/gathered_low.h"

#include "mode/store_memory.h"

#include <stdlib.h>

/* ---- which records, and where each lies */

/* A copy begins as aligned as products want it only where all before it are so long. */
enum { ALIGNED_ELEMENTS = 64 };

static bool may_be_low(const mode_settings *s, int record) {
    const graph_parameter *of = &s->graph->parameters[record];
    return of->trained && of->number == 0 && of->count % ALIGNED_ELEMENTS == 0 &&
           network_packed_element(s->network, record) == 2;
}

static int group_of(const gathered_low *self, int record) {
    const graph *graph = self->settings->graph;
    for (int unit = 0; unit < graph->unit_count; unit++) {
        const graph_layer *layer = graph_unit_layer(graph, unit);
        if (record >= layer->first_record && record < layer->first_record + layer->record_count)
            return self->groups->of_unit[unit];
    }
    return -1;
}

/* Calls `visit` for each record of a group, in the order of the flat array. */
typedef int (*record_visit)(const gathered_low *self, int record, void *context, ls_error *error);

static int each_record(const gathered_low *self, int group, record_visit visit, void *context,
                       ls_error *error) {
    const graph *graph = self->settings->graph;
    for (int unit = self->groups->first_unit[group]; unit < self->groups->first_unit[group + 1];
         unit++) {
        const graph_layer *layer = graph_unit_layer(graph, unit);
        for (int index = 0; index < layer->record_count; index++)
            if (graph->parameters[layer->first_record + index].trained)
                LS_TRY(visit(self, layer->first_record + index, context, error));
    }
    return LS_OK;
}

typedef struct counting {
    size_t until, low, rest; /* elements of each kind before `until` */
} counting;

static int count(const gathered_low *self, int record, void *context, ls_error *error) {
    const graph_parameter *of = &self->settings->graph->parameters[record];
    counting *sum = context;
    (void)error;
    if (of->first >= sum->until)
        return LS_OK;
    size_t end = of->first + of->count < sum->until ? of->first + of->count : sum->until;
    *(self->is_low[record] ? &sum->low : &sum->rest) += end - of->first;
    return LS_OK;
}

static counting count_before(const gathered_low *self, int group, size_t until) {
    counting sum = {.until = until};
    ls_error unused = {0};
    each_record(self, group, count, &sum, &unused);
    return sum;
}

static void measure(gathered_low *self, int group) {
    store_span span = self->groups->spans[group];
    counting all = count_before(self, group, span.first + span.count);
    self->low[group] = all.low;
    self->rest[group] = all.rest;
    self->most_low = all.low > self->most_low ? all.low : self->most_low;
    self->most_rest = all.low > 0 && all.rest > self->most_rest ? all.rest : self->most_rest;
    for (int place = 0; place < self->shards->size; place++) {
        store_span part = shards_part(self->shards, group, place);
        counting from = count_before(self, group, part.first);
        counting to = count_before(self, group, part.first + part.count);
        size_t at = (size_t)group * (size_t)self->shards->size + (size_t)place;
        self->low_lengths[at] = (int64_t)(to.low - from.low);
        self->rest_lengths[at] = (int64_t)(to.rest - from.rest);
    }
}

static bool find_low(gathered_low *self) {
    bool any = false;
    for (int record = 0; record < self->settings->graph->record_count; record++) {
        self->is_low[record] = may_be_low(self->settings, record) && group_of(self, record) >= 0;
        any |= self->is_low[record];
    }
    return any;
}

int gathered_low_create(const mode_settings *settings, const unit_groups *groups,
                        const shards *shards, gathered_low *out, ls_error *error) {
    size_t count = (size_t)groups->count + 1, parts = count * (size_t)shards->size;
    *out = (gathered_low){.settings = settings,
                          .groups = groups,
                          .shards = shards,
                          .type = network_type(settings->network)};
    if (dtype_bytes(out->type) != 2)
        return LS_OK;
    out->is_low = calloc((size_t)settings->graph->record_count + 1, sizeof *out->is_low);
    out->low = calloc(count, sizeof *out->low);
    out->rest = calloc(count, sizeof *out->rest);
    out->low_lengths = calloc(parts, sizeof *out->low_lengths);
    out->rest_lengths = calloc(parts, sizeof *out->rest_lengths);
    if (!out->is_low || !out->low || !out->rest || !out->low_lengths || !out->rest_lengths) {
        gathered_low_destroy(out);
        return ls_fail(error, LS_FAILED, "out of memory");
    }
    if (!find_low(out)) {
        gathered_low_destroy(out);
        return LS_OK;
    }
    for (int group = 0; group < groups->count; group++)
        measure(out, group);
    return LS_OK;
}

void gathered_low_destroy(gathered_low *self) {
    free(self->is_low);
    free(self->low);
    free(self->rest);
    free(self->low_lengths);
    free(self->rest_lengths);
    self->is_low = NULL;
    self->low = self->rest = NULL;
    self->low_lengths = self->rest_lengths = NULL;
    self->most_low = self->most_rest = 0;
}

void *gathered_low_copy(const gathered_low *self, int group, int record,
                        const gathered_low_slot *slot) {
    size_t before = count_before(self, group, self->settings->graph->parameters[record].first).low;
    return (char *)slot->low + before * dtype_bytes(self->type);
}

/* ---- on their way */

typedef struct moving {
    store *store;
    int group;
    store_span part; /* this rank's */
    gathered_low_slot *slot;
    float *memory;
} moving;

/* What of a record this rank holds, to its place in the slot. */
static int give(const gathered_low *self, int record, void *context, ls_error *error) {
    const moving *to = context;
    const mode_settings *s = self->settings;
    const graph_parameter *of = &s->graph->parameters[record];
    size_t first = of->first > to->part.first ? of->first : to->part.first;
    size_t end = to->part.first + to->part.count;
    end = of->first + of->count < end ? of->first + of->count : end;
    if (first >= end)
        return LS_OK;
    counting before = count_before(self, to->group, first);
    if (!self->is_low[record])
        return store_copy(to->store, s->stream, STORE_PARAMETERS, (store_span){first, end - first},
                          to->slot->rest + before.rest, error);
    return s->device->is->ops->cast(
        s->device, s->stream, end - first, DTYPE_F32,
        store_at(to->store, STORE_PARAMETERS, first, end - first), self->type,
        (char *)to->slot->low + before.low * dtype_bytes(self->type), error);
}

int gathered_low_begin(const gathered_low *self, store *store, outstanding *works, int group,
                       gathered_low_slot *slot, comm_work *rest, ls_error *error) {
    const mode_settings *s = self->settings;
    size_t parts = (size_t)group * (size_t)self->shards->size;
    moving to = {.store = store,
                 .group = group,
                 .part = shards_part(self->shards, group, mode_group(s).place),
                 .slot = slot};
    LS_TRY(each_record(self, group, give, &to, error));
    LS_TRY(outstanding_allgather(works, s->stream, slot->low, self->low_lengths + parts, self->type,
                                 s->stream, &slot->work, error));
    if (self->rest[group] == 0)
        return LS_OK;
    return outstanding_allgather(works, s->stream, slot->rest, self->rest_lengths + parts,
                                 DTYPE_F32, s->stream, rest, error);
}

static int place(const gathered_low *self, int record, void *context, ls_error *error) {
    const moving *to = context;
    const mode_settings *s = self->settings;
    const graph_parameter *of = &s->graph->parameters[record];
    if (self->is_low[record])
        return LS_OK;
    return s->device->is->copy(s->device, s->stream,
                               to->memory + (of->first - self->groups->spans[to->group].first),
                               to->slot->rest + count_before(self, to->group, of->first).rest,
                               of->count * sizeof(float), COPY_ON_DEVICE, error);
}

int gathered_low_arrive(const gathered_low *self, outstanding *works, int group,
                        gathered_low_slot *slot, float *memory, ls_error *error) {
    moving to = {.group = group, .slot = slot, .memory = memory};
    LS_TRY(outstanding_wait(works, &slot->work, self->settings->stream, error));
    return each_record(self, group, place, &to, error);
}
