/* zero1, zero2: the optimizer's state is shared out over the ranks (ZeRO's first two stages:
 * Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", 2020,
 * section 5; weight-update sharding: Xu et al., 2020). Every rank holds all parameters and computes
 * its share of the batch, as in ddp. A bucket of the gradient (mode/buckets.h) is cut into a part a
 * rank (mode/shards.h): as soon as backward has written it, each part is summed on its rank alone;
 * that rank updates it, with the moments that it alone holds, and all-gathers the parameters. So as
 * many bytes travel as in an all-reduce, and an update is made once, not on each rank.
 *
 * zero1 holds all of the gradient. zero2 holds of it the own parts; what backward writes is in
 * slots for a while (mode/slots.h), unless a rank computes several lanes, which have a gradient
 * each.
 *
 * In a node's shared memory a rank sums its part from where the others' gradients lie, in the order
 * of the ranks, and puts its parameters where the others' lie: no message, and the bits of ddp.
 * With --strict the sum is ddp's tree. Two ranks do it in the update's own pass (mode/pair.h): each
 * offers a bucket when its backward is done with the gradients and the parameters, the other
 * updates its part from both gradients, and writes it to both ranks' parameters. Between the nodes
 * of a host's ranks gathers go on beside the next forward. */
#include "comm/tree.h"
#include "mode/batch_sums.h"
#include "mode/exchange.h"
#include "mode/outstanding.h"
#include "mode/pair.h"
#include "mode/parts.h"
#include "mode/shards.h"
#include "mode/slots.h"

#include <stdlib.h>

extern const mode_interface mode_zero1, mode_zero2;

typedef struct zero_state {
    outstanding works;
    batch_sums sums;
    shards shards;      /* blocks are the buckets */
    slots slots;        /* segments NULL: the gradient is whole here */
    comm_work *gathers; /* [bucket_count] of parameters */
    /* Buckets in this order: [0, finished) were reduced and waited for, of [0, gathered) the new
     * parameters are on their way. */
    int bucket_count, started, finished, gathered;
    /* Gathers go on beside the next forward, which waits for a unit's where it comes to it; of
     * `arriving` units none has read its parameters since the update. */
    bool late;
    int arriving;
    bool *arrived; /* [units] */
    /* Two ranks that read and write each other's memory: nothing is reduced or gathered. In slots
     * the next gradients wait until the other has `read` a bucket. */
    float *their_parameters; /* NULL: not so */
    comm_work *read;         /* [bucket_count] */
    comm_work updated;
    bucket buckets[]; /* [0] is the end of the flat array */
} zero_state;

static store_span own_part(const mode *self, int bucket) {
    const zero_state *state = self->state;
    return shards_part(&state->shards, bucket, mode_group(&self->settings).place);
}

static bool has_slots(const zero_state *state) {
    return state->slots.segments != NULL;
}

static bool is_pair(const zero_state *state) {
    return state->their_parameters != NULL;
}

/* ---- the gradient */

static float *written_at(const mode *self, int index) {
    const zero_state *state = self->state;
    const bucket *of = &state->buckets[index];
    if (has_slots(state))
        return slots_at(&state->slots, slots_of_bucket(&state->slots, index), of->first);
    return store_at(self->store, STORE_GRADIENTS, of->first, of->count);
}

/* Where its sum is waited for: a slot is written again in the mode's own stream. */
static device_stream *reader_of(const mode *self) {
    const zero_state *state = self->state;
    return has_slots(state) ? self->settings.stream : mode_update_stream(self);
}

/* With lanes the sum of this rank's: two of them make the tree. */
static int offer_bucket(mode *self, int index, ls_error *error) {
    zero_state *state = self->state;
    const mode_settings *s = &self->settings;
    bucket *next = &state->buckets[index];
    float *written = written_at(self, index);
    if (s->lanes)
        LS_TRY(tree_sum_rows_on(s->device, s->stream, written, self->lane_count,
                                store_row_stride(self->store, STORE_GRADIENTS), next->count,
                                error));
    return outstanding_offer(&state->works, written, next->count * sizeof *written, reader_of(self),
                             &next->work, error);
}

static int start_bucket(mode *self, int index, ls_error *error) {
    zero_state *state = self->state;
    bucket *next = &state->buckets[index];
    float *written = written_at(self, index);
    if (is_pair(state))
        return offer_bucket(self, index, error);
    if (self->settings.lanes)
        return outstanding_sum_tree(&state->works, written, next->count, self->lane_count,
                                    store_row_stride(self->store, STORE_GRADIENTS), reader_of(self),
                                    &next->work, error);
    return outstanding_reduce_scatter(&state->works, written, shards_lengths(&state->shards, index),
                                      DTYPE_F32, REDUCTION_SUM, reader_of(self), &next->work,
                                      error);
}

static int arrive_all(void *context, ls_error *error);

/* Starts every bucket that lies wholly in what backward has written: [frontier, end). */
static int gradient_ready(void *context, int unit, ls_error *error) {
    mode *self = context;
    zero_state *state = self->state;
    size_t frontier = self->settings.graph->units[unit].first;
    LS_TRY(arrive_all(self, error)); /* their works are the next gathers' */
    LS_TRY(step_clock_waiting(self->clock, error));
    while (state->started < state->bucket_count && state->buckets[state->started].first >= frontier)
        LS_TRY(start_bucket(self, state->started++, error));
    return step_clock_resumed(self->clock, error);
}

static int between(void *context, ls_error *error) {
    mode *self = context;
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(outstanding_progress(&((zero_state *)self->state)->works, error));
    return step_clock_resumed(self->clock, error);
}

/* ---- the parameters */

/* Of the buckets that are finished, whose own part the optimizer has updated, in `behind`. Ranks do
 * it between the same two reductions, whatever their parts are: collectives have one order. */
static int begin_gathers(mode *self, device_stream *behind, ls_error *error) {
    zero_state *state = self->state;
    for (; state->gathered < state->finished; state->gathered++) {
        const bucket *each = &state->buckets[state->gathered];
        LS_TRY(
            outstanding_allgather(&state->works, behind,
                                  store_at(self->store, STORE_PARAMETERS, each->first, each->count),
                                  shards_lengths(&state->shards, state->gathered), DTYPE_F32,
                                  behind, &state->gathers[state->gathered], error));
    }
    return LS_OK;
}

/* The other's backward is done with the bucket too: the own part is updated from both gradients,
 * for both ranks. */
static int update_both(mode *self, int index, ls_error *error) {
    zero_state *state = self->state;
    store_span own = own_part(self, index);
    const bucket *of = &state->buckets[index];
    float *written = written_at(self, index);
    if (own.count > 0) {
        store_slice slice = store_slice_of(self->store, own.first, own.count);
        ptrdiff_t back = (ptrdiff_t)of->first - (ptrdiff_t)slice.origin;
        slice.gradients = written - back;
        slice.added = pair_theirs(&self->settings, written) - back;
        slice.copied = state->their_parameters + slice.origin;
        LS_TRY(mode_settle_slice(self, &slice, error));
    }
    state->finished = index + 1;
    return has_slots(state) ? outstanding_offer(&state->works, written, sizeof *written,
                                                reader_of(self), &state->read[index], error)
                            : LS_OK;
}

/* The bucket's sum is there: the own part of it is updated, and goes to the others. */
static int finish_bucket(mode *self, int index, ls_error *error) {
    zero_state *state = self->state;
    const mode_settings *s = &self->settings;
    store_span own = own_part(self, index);
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(outstanding_wait(&state->works, &state->buckets[index].work, reader_of(self), error));
    LS_TRY(step_clock_resumed(self->clock, error));
    if (is_pair(state))
        return update_both(self, index, error);
    if (has_slots(state) && own.count > 0)
        LS_TRY(s->device->is->copy(
            s->device, s->stream, store_at(self->store, STORE_GRADIENTS, own.first, own.count),
            written_at(self, index) + (own.first - state->buckets[index].first),
            own.count * sizeof(float), COPY_ON_DEVICE, error));
    if (own.count > 0)
        LS_TRY(mode_settle(self, own.first, own.count, error));
    state->finished = index + 1;
    if (!s->settled || !s->updates(s->settled_context))
        return LS_OK;
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(begin_gathers(self, mode_update_stream(self), error));
    return step_clock_resumed(self->clock, error);
}

/* Of what another rank holds: its parameters are here now. */
static int receive_span(mode *self, device_stream *stream, size_t first, size_t end,
                        ls_error *error) {
    const mode_settings *s = &self->settings;
    if (first == end)
        return LS_OK;
    store_slice slice = store_slice_of(self->store, first, end - first);
    return s->settled_elsewhere(s->settled_context, stream, &slice, error);
}

static int wait_for(mode *self, comm_work *work, device_stream *reader, ls_error *error) {
    zero_state *state = self->state;
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(outstanding_wait(&state->works, work, reader, error));
    return step_clock_resumed(self->clock, error);
}

static int receive(mode *self, device_stream *stream, int index, ls_error *error) {
    zero_state *state = self->state;
    const bucket *of = &state->buckets[index];
    store_span own = own_part(self, index);
    LS_TRY(wait_for(self, &state->gathers[index], stream, error));
    LS_TRY(receive_span(self, stream, of->first, own.first, error));
    return receive_span(self, stream, own.first + own.count, of->first + of->count, error);
}

/* ---- parameters that come beside the next forward */

static void expect_all(mode *self) {
    const mode_settings *s = &self->settings;
    zero_state *state = self->state;
    size_t elsewhere = s->graph->parameter_count;
    for (int index = 0; index < state->bucket_count; index++)
        elsewhere -= own_part(self, index).count;
    s->settled_later(s->settled_context, elsewhere);
    state->arriving = s->graph->unit_count;
    for (int unit = 0; unit < s->graph->unit_count; unit++)
        state->arrived[unit] = false;
}

/* The buckets that have some of the unit. */
static int wait_for_unit(mode *self, const graph_unit *of, ls_error *error) {
    zero_state *state = self->state;
    LS_TRY(step_clock_waiting(self->clock, error));
    for (int index = 0; index < state->bucket_count; index++) {
        const bucket *each = &state->buckets[index];
        if (each->first < of->first + of->count && of->first < each->first + each->count)
            LS_TRY(outstanding_wait(&state->works, &state->gathers[index], self->settings.stream,
                                    error));
    }
    return step_clock_resumed(self->clock, error);
}

static int arrive(mode *self, int unit, ls_error *error) {
    const mode_settings *s = &self->settings;
    zero_state *state = self->state;
    if (state->arriving == 0 || state->arrived[unit])
        return LS_OK;
    LS_TRY(wait_for_unit(self, &s->graph->units[unit], error));
    state->arrived[unit] = true;
    if (--state->arriving == 0)
        outstanding_clear(&state->works);
    return network_pack_unit(s->network, unit, s->stream, mode_unit(self, STORE_PARAMETERS, unit),
                             error);
}

static int arrive_all(void *context, ls_error *error) {
    mode *self = context;
    for (int unit = 0; unit < self->settings.graph->unit_count; unit++)
        LS_TRY(arrive(self, unit, error));
    return LS_OK;
}

static int late_parameters(void *context, int unit, const float **out, ls_error *error) {
    LS_TRY(arrive(context, unit, error));
    return mode_whole_parameters(context, unit, out, error);
}

/* Only between nodes do bytes move beside computing, by the pump; there a bucket's work is free
 * again when the next gradient comes. Lanes ask for parameters by several threads. */
static int open_late(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    zero_state *state = self->state;
    if (!state->works.pump || s->lanes || !s->settled_later)
        return LS_OK;
    state->arrived = calloc((size_t)s->graph->unit_count + 1, sizeof *state->arrived);
    if (!state->arrived)
        return ls_fail(error, LS_FAILED, "out of memory");
    state->late = true;
    self->hooks.parameters = late_parameters;
    store_expect(self->store, arrive_all, self);
    return LS_OK;
}

/* Both ranks' parts are in both ranks' parameters, and no gradient is read any more. */
static int meet_other(mode *self, device_stream *stream, ls_error *error) {
    zero_state *state = self->state;
    LS_TRY(outstanding_offer(&state->works, store_at(self->store, STORE_PARAMETERS, 0, 1),
                             sizeof(float), stream, &state->updated, error));
    for (int index = 0; index < state->finished; index++)
        LS_TRY(wait_for(self, &state->read[index], stream, error));
    state->gathered = state->finished;
    return wait_for(self, &state->updated, stream, error);
}

static int publish(mode *self, device_stream *stream, ls_error *error) {
    zero_state *state = self->state;
    if (is_pair(state))
        LS_TRY(meet_other(self, stream, error));
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(begin_gathers(self, stream, error));
    LS_TRY(step_clock_resumed(self->clock, error));
    if (state->late) {
        expect_all(self);
    } else {
        for (int index = 0; index < state->gathered; index++)
            LS_TRY(receive(self, stream, index, error));
        outstanding_clear(&state->works);
    }
    state->started = state->finished = state->gathered = 0;
    slots_forget(&state->slots);
    return LS_OK;
}

static int collect(mode *self, ls_error *error) {
    zero_state *state = self->state;
    LS_TRY(arrive_all(self, error));
    state->finished = state->bucket_count;
    LS_TRY(begin_gathers(self, self->settings.stream, error));
    for (int index = 0; index < state->bucket_count; index++)
        LS_TRY(
            outstanding_wait(&state->works, &state->gathers[index], self->settings.stream, error));
    outstanding_clear(&state->works);
    state->finished = state->gathered = 0;
    return LS_OK;
}

/* ---- a step */

/* Where waiting only orders streams, the update of a bucket goes behind its sum at once, beside the
 * rest of backward. */
static int finish_behind(void *context, int unit, ls_error *error) {
    mode *self = context;
    zero_state *state = self->state;
    size_t frontier = self->settings.graph->units[unit].first;
    while (state->finished < state->started && state->buckets[state->finished].first >= frontier)
        LS_TRY(finish_bucket(self, state->finished, error));
    return LS_OK;
}

static int end_of(const zero_state *state, int segment) {
    const struct segment *of = &state->slots.segments[segment];
    return of->bucket + of->buckets;
}

/* Before its slot is another's: backward is long done with what lies there. Of two ranks the other
 * has read it too, if it has come as far as this one was half the slots ago. */
static int vacate(mode *self, int segment, ls_error *error) {
    zero_state *state = self->state;
    int half = is_pair(state) ? state->slots.count / 2 : 0, end = end_of(state, segment);
    int ends = end_of(state, segment + half);
    while (state->finished < state->started && state->finished < ends)
        LS_TRY(finish_bucket(self, state->finished, error));
    for (int index = state->slots.segments[segment].bucket; is_pair(state) && index < end; index++)
        LS_TRY(wait_for(self, &state->read[index], self->settings.stream, error));
    return LS_OK;
}

static int slot_gradient(void *context, int unit, float **out, ls_error *error) {
    mode *self = context;
    zero_state *state = self->state;
    int segment = slots_of_unit(&state->slots, unit);
    int before = slots_before(&state->slots, segment);
    if (before >= 0)
        LS_TRY(vacate(self, before, error));
    slots_give(&state->slots, segment);
    *out = slots_at(&state->slots, segment, self->settings.graph->units[unit].first);
    return LS_OK;
}

static int finish(mode *self, ls_error *error) {
    zero_state *state = self->state;
    while (state->finished < state->started)
        LS_TRY(finish_bucket(self, state->finished, error));
    return LS_OK;
}

static int agree_overflow(mode *self, int32_t *overflow, ls_error *error) {
    return mode_agree_overflow(self, &((zero_state *)self->state)->works, overflow, error);
}

static int add_up(mode *self, double *values, size_t count, ls_error *error) {
    return mode_add_up_parts(self, &((zero_state *)self->state)->works, values, count, error);
}

/* ---- open and close */

/* No bucket begins within a grain. They come from the array's end, so that what moves up is not
 * waited for. */
static int on_grains(const graph *graph, bucket *buckets, int count) {
    size_t end = graph->parameter_count;
    int kept = 0;
    for (int index = 0; index < count; index++) {
        size_t first = shards_border(graph, buckets[index].first);
        if (first < end)
            buckets[kept++] = (bucket){.first = first, .count = end - first};
        end = first;
    }
    return kept;
}

enum { FEWEST_SEGMENTS = 16 };

static size_t most_worth(const graph *graph) {
    return graph->parameter_count / FEWEST_SEGMENTS + 1;
}

/* zero2's also end at units' borders, or a slot would have to hold all that is between. */
static bucket_rule rule_of(const mode *self) {
    bucket_rule rule = {self->exchange.bucket_most, self->exchange.bucket_worth};
    size_t most = most_worth(self->settings.graph);
    if (self->is == &mode_zero2 && mode_group(&self->settings).size > 1 && rule.worth > most)
        rule.worth = most;
    return rule;
}

static int cut_buckets(mode *self, ls_error *error) {
    const graph *graph = self->settings.graph;
    bucket_rule rule = rule_of(self);
    int count = buckets_cut(graph, NULL, rule, NULL);
    zero_state *state = calloc(1, sizeof *state + (size_t)count * sizeof state->buckets[0]);
    if (!state)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->state = state;
    count = buckets_cut(graph, NULL, rule, state->buckets);
    state->bucket_count = on_grains(graph, state->buckets, count);
    state->works =
        (outstanding){.comm = mode_group(&self->settings).comm, .stream = self->settings.stream};
    state->gathers = calloc((size_t)state->bucket_count + 1, sizeof *state->gathers);
    state->read = calloc((size_t)state->bucket_count + 1, sizeof *state->read);
    if (!state->gathers || !state->read)
        return ls_fail(error, LS_FAILED, "out of memory");
    mode_describe_buckets(self, state->buckets, state->bucket_count);
    return LS_OK;
}

static int share_out(mode *self, store_span *spans, ls_error *error) {
    const mode_settings *s = &self->settings;
    shard_group group = mode_group(s);
    zero_state *state = self->state;
    for (int index = 0; index < state->bucket_count; index++)
        spans[index] = (store_span){state->buckets[index].first, state->buckets[index].count};
    LS_TRY(shards_create(s->graph, spans, state->bucket_count, group.size, &state->shards, error));
    for (int place = 0; place < group.size; place++)
        if (shards_held(&state->shards, place, spans) == 0)
            return ls_fail(error, LS_BAD_LAUNCH,
                           "--mode %s: %zu parameters leave none of %d for rank %d to update "
                           "(start fewer ranks, or --mode ddp)",
                           self->is->name, s->graph->parameter_count, group.size, place);
    int count = shards_held(&state->shards, group.place, spans);
    LS_TRY(store_update(self->store, spans, count, error));
    if (self->is != &mode_zero2 || self->lane_count > 1)
        return store_hold_whole(self->store, STORE_GRADIENTS, error);
    LS_TRY(store_hold_own(self->store, STORE_GRADIENTS, spans, count, error));
    self->hooks.gradient = slot_gradient;
    return slots_create(self, state->buckets, state->bucket_count, &state->slots, error);
}

static int hold(mode *self, ls_error *error) {
    zero_state *state = self->state;
    store_span *spans = calloc((size_t)state->bucket_count + 1, sizeof *spans);
    if (!spans)
        return ls_fail(error, LS_FAILED, "out of memory");
    int status = share_out(self, spans, error);
    free(spans);
    return status;
}

static size_t part_of_a_rank(const mode_settings *s) {
    size_t ranks = (size_t)mode_group(s).size;
    return (s->graph->parameter_count + ranks - 1) / ranks;
}

static void plan_zero1(const mode_settings *s, size_t bytes[MEMORY_KINDS]) {
    size_t part = part_of_a_rank(s);
    mode_plan_whole(s, bytes);
    mode_plan_updates(s, part, part, bytes);
    bytes[MEMORY_COMMUNICATION] += batch_sums_bytes(s);
}

static void plan_zero2(const mode_settings *s, size_t bytes[MEMORY_KINDS]) {
    bucket_rule rule = {.most = s->graph->parameter_count, .worth = most_worth(s->graph)};
    plan_zero1(s, bytes);
    if (mode_plan_rows(s) > 1)
        return;
    bytes[MEMORY_GRADIENTS] = store_whole_bytes(part_of_a_rank(s), 1);
    bytes[MEMORY_COMMUNICATION] += slots_most_bytes(s->graph, rule);
}

/* After all memory is held. What is offered must be whole on both ranks: in shared memory all is.
 */
static void open_pair(mode *self) {
    const mode_settings *s = &self->settings;
    zero_state *state = self->state;
    if (mode_group(s).comm != s->comm || !pair_may_serve(s) || !pair_theirs(s, written_at(self, 0)))
        return;
    state->their_parameters = pair_theirs(s, store_at(self->store, STORE_PARAMETERS, 0, 1));
    if (!is_pair(state))
        return;
    self->hooks.gradient_ready = NULL;
    self->hooks.backward_done = gradient_ready;
}

static int setup(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    self->settings.factors = FACTORS_OFF;
    LS_TRY(store_hold_whole(self->store, STORE_PARAMETERS, error));
    LS_TRY(store_hold_whole(self->store, STORE_BUFFERS, error));
    self->hooks.parameters = mode_whole_parameters;
    self->hooks.gradient = mode_whole_gradient;
    self->hooks.buffers = mode_whole_buffers;
    self->hooks.gradient_ready = gradient_ready;
    if (!s->device->facts.asynchronous)
        self->hooks.between = between;
    else if (s->settled && mode_group(s).comm->is->capturable)
        self->hooks.backward_done = finish_behind;
    LS_TRY(exchange_choose(self, error));
    LS_TRY(cut_buckets(self, error));
    LS_TRY(hold(self, error));
    open_pair(self);
    zero_state *state = self->state;
    if (s->between_nodes && !s->device->facts.asynchronous)
        LS_TRY(outstanding_start_pump(&state->works, error));
    LS_TRY(open_late(self, error));
    return batch_sums_open(&state->sums, self, &state->works, error);
}

static void teardown(mode *self) {
    zero_state *state = self->state;
    ls_error unused = {0};
    arrive_all(self, &unused); /* or what is sent would be memory no more */
    pump_stop(state->works.pump);
    slots_destroy(&state->slots);
    shards_destroy(&state->shards);
    store_give_back(self->store, state->sums.given.values);
    free(state->gathers);
    free(state->read);
    free(state->arrived);
    free(state);
}

#define ZERO(title, plans)                                                                         \
    {                                                                                              \
        .name = title, .capturable = true, .adds_sums = true, .has_lanes = true, .shards = true,   \
        .takes_made = true, .loader_share = mode_loader_own_share, .plan_memory = plans,           \
        .setup = setup, .teardown = teardown, .begin = mode_begin_own_batch,                       \
        .loss = mode_loss_own_batch, .finish = finish, .publish = publish, .collect = collect,     \
        .agree_overflow = agree_overflow, .add_up = add_up,                                        \
        .parameters_changed = mode_nothing_to_publish,                                             \
    }

const mode_interface mode_zero1 = ZERO("zero1", plan_zero1);
const mode_interface mode_zero2 = ZERO("zero2", plan_zero2);
