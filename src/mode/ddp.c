/* ddp: DistributedDataParallel. Every rank holds all parameters and computes its share of the
 * batch; the gradient is summed over the ranks in buckets (mode/buckets.h) that start as soon as
 * backward has written them, or, for linear layers where that is cheaper, formed by every rank from
 * all ranks' factors (mode/factors.h). Two ranks of a node only tell each other that a bucket is
 * there, and share out the update, which adds up (mode/pair.h). Sums, not means: the loss's
 * gradient already carries 1 / global count.
 *
 * In bf16 a bucket is rounded, summed and widened again: each rank's value is rounded once, and a
 * ring rounds its sum at each of its R - 1 additions, so the error of a sum over R ranks is at most
 * R * 2^-8 * sum |g_r| * (1 + 2^-8)^R, in any order of adding. One rank sends nothing and rounds
 * nothing. */
#include "comm/tree.h"
#include "mode/batch_sums.h"
#include "mode/exchange.h"
#include "mode/factors.h"
#include "mode/outstanding.h"
#include "mode/pair.h"
#include "mode/parts.h"

#include <stdlib.h>

typedef struct ddp_state {
    bool training;    /* the batch at hand */
    factors *factors; /* NULL: no unit goes as factors */
    pair *pair;       /* NULL: sums are made by the comm */
    outstanding works;
    batch_sums sums;
    uint16_t *low; /* bf16 [parameter_count]: gradients on their way; NULL: they go in fp32 */
    int bucket_count, started, finished; /* in this order; [0, finished) were waited for */
    bucket buckets[];                    /* [0] is the end of the flat array */
} ddp_state;

static bool takes_factors(void *context, int unit) {
    mode *self = context;
    return ((ddp_state *)self->state)->training && self->exchange.units[unit].factors;
}

static int input_ready(void *context, int unit, const void *x, ls_error *error) {
    ddp_state *state = ((mode *)context)->state;
    return factors_input(state->factors, &state->works, unit, x, error);
}

static int delta_ready(void *context, int unit, const void *dy, ls_error *error) {
    ddp_state *state = ((mode *)context)->state;
    return factors_delta(state->factors, &state->works, unit, dy, error);
}

static int start_bucket(mode *self, bucket *next, ls_error *error) {
    ddp_state *state = self->state;
    const mode_settings *s = &self->settings;
    size_t stride = store_row_stride(self->store, STORE_GRADIENTS);
    next->work.tells = s->settled && s->device->facts.updates_advance;
    float *summed = store_at(self->store, STORE_GRADIENTS, next->first, next->count);
    void *sent = summed;
    dtype type = DTYPE_F32;
    if (state->pair && s->lanes) /* the subtree of this rank; two of them make the tree */
        LS_TRY(tree_sum_rows_on(s->device, s->stream, sent, self->lane_count, stride, next->count,
                                error));
    if (s->lanes && !state->pair)
        return outstanding_sum_tree(&state->works, sent, next->count, self->lane_count, stride,
                                    mode_update_stream(self), &next->work, error);
    if (state->pair)
        return outstanding_offer(&state->works, sent, next->count * sizeof(float),
                                 mode_update_stream(self), &next->work, error);
    if (state->low) {
        sent = state->low + next->first;
        type = DTYPE_BF16;
        LS_TRY(s->device->is->ops->cast(s->device, s->stream, next->count, DTYPE_F32, summed,
                                        DTYPE_BF16, sent, error));
    }
    return outstanding_allreduce(&state->works, sent, next->count, type, REDUCTION_SUM,
                                 mode_update_stream(self), &next->work, error);
}

/* Starts every bucket that lies wholly in what backward has written: [frontier, end). */
static int gradient_ready(void *context, int unit, ls_error *error) {
    mode *self = context;
    ddp_state *state = self->state;
    size_t frontier = self->settings.graph->units[unit].first;
    LS_TRY(step_clock_waiting(self->clock, error));
    while (state->started < state->bucket_count && state->buckets[state->started].first >= frontier)
        LS_TRY(start_bucket(self, &state->buckets[state->started++], error));
    return step_clock_resumed(self->clock, error);
}

static int between(void *context, ls_error *error) {
    mode *self = context;
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(outstanding_progress(&((ddp_state *)self->state)->works, error));
    return step_clock_resumed(self->clock, error);
}

/* What the bucket's update tells a watcher as it begins: which collective is at work now. After the
 * last it is the next step's first. */
static progress_word word_of(const ddp_state *state, const bucket *each) {
    progress_word word = each->work.over;
    if (word.at && each == &state->buckets[state->bucket_count - 1])
        word.value = state->buckets[0].work.over.value - 1;
    return word;
}

/* The bucket's sum is there; it is waited for where the update will be made. */
static int finish_bucket(mode *self, bucket *each, ls_error *error) {
    ddp_state *state = self->state;
    const mode_settings *s = &self->settings;
    device_stream *stream = mode_update_stream(self);
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(outstanding_wait(&state->works, &each->work, stream, error));
    if (state->low)
        LS_TRY(s->device->is->ops->cast(
            s->device, stream, each->count, DTYPE_BF16, state->low + each->first, DTYPE_F32,
            store_at(self->store, STORE_GRADIENTS, each->first, each->count), error));
    LS_TRY(step_clock_resumed(self->clock, error));
    store_slice slice = store_slice_of(self->store, each->first, each->count);
    slice.begins = word_of(state, each);
    return mode_settle_slice(self, &slice, error);
}

/* Where waiting only orders streams, the update of a bucket goes behind its sum at once, beside the
 * rest of backward. */
static int backward_done(void *context, int unit, ls_error *error) {
    mode *self = context;
    ddp_state *state = self->state;
    size_t frontier = self->settings.graph->units[unit].first;
    while (state->finished < state->started && state->buckets[state->finished].first >= frontier)
        LS_TRY(finish_bucket(self, &state->buckets[state->finished++], error));
    return LS_OK;
}

/* The products first: what is still on its way passes meanwhile. But in a pair, which waits for all
 * first, a bucket is updated as soon as it was waited for: the rank that was first here works on,
 * while the slower one comes to its last gradient. */
static int finish(mode *self, ls_error *error) {
    ddp_state *state = self->state;
    if (state->factors)
        LS_TRY(factors_finish(state->factors, &state->works, error));
    if (state->pair)
        LS_TRY(pair_update(state->pair, &state->works, state->buckets, state->started, error));
    while (!state->pair && state->finished < state->started)
        LS_TRY(finish_bucket(self, &state->buckets[state->finished++], error));
    outstanding_clear(&state->works);
    state->started = state->finished = 0;
    return LS_OK;
}

/* The summed gradient is the same on all ranks, and so is what they find in it; they agree all the
 * same, so that nothing depends on the bits of a reduction. */
static int agree_overflow(mode *self, int32_t *overflow, ls_error *error) {
    return mode_agree_overflow(self, &((ddp_state *)self->state)->works, overflow, error);
}

static int begin(mode *self, const input_batch *batch, pass *pass, ls_error *error) {
    ddp_state *state = self->state;
    state->training = batch->training;
    if (state->factors)
        factors_begin(state->factors, batch->global_count);
    return mode_begin_own_batch(self, batch, pass, error);
}

static int cut_buckets(mode *self, const bool *factored, bool any, ls_error *error) {
    const graph *graph = self->settings.graph;
    bucket_rule rule = {self->exchange.bucket_most, self->exchange.bucket_worth};
    if (!any && self->settings.bucket_bytes == 0 && pair_may_serve(&self->settings))
        rule = pair_rule(rule);
    int count = buckets_cut(graph, factored, rule, NULL);
    ddp_state *state = calloc(1, sizeof *state + (size_t)count * sizeof state->buckets[0]);
    if (!state)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->state = state;
    state->bucket_count = buckets_cut(graph, factored, rule, state->buckets);
    state->works = (outstanding){.comm = self->settings.comm, .stream = self->settings.stream};
    mode_describe_buckets(self, state->buckets, state->bucket_count);
    return LS_OK;
}

static int allocate(mode *self, const bool *factored, bool any, ls_error *error) {
    ddp_state *state = self->state;
    const mode_settings *s = &self->settings;
    if (any) /* whose gradients are all the ranks' already */
        LS_TRY(factors_create(self, factored, &state->factors, error));
    else
        LS_TRY(pair_open(self, state->buckets, state->bucket_count, &state->pair, error));
    if (!state->pair)
        LS_TRY(store_update_whole(self->store, error));
    self->exchange.update_shared = state->pair != NULL;
    if (s->gradient_type == DTYPE_F32 || s->size == 1)
        return LS_OK;
    return store_take(self->store, MEMORY_COMMUNICATION, true,
                      s->graph->parameter_count * sizeof *state->low, "gradients in bf16",
                      (void **)&state->low, error);
}

/* A pair takes a second array of gradients, and shares out what the optimizer keeps. */
static void plan_memory(const mode_settings *s, size_t bytes[MEMORY_KINDS]) {
    size_t parameters = s->graph->parameter_count, rows = exchange_most_factor_bytes(s);
    bool paired = pair_may_serve(s) && (s->factors != FACTORS_ON || rows == 0);
    bucket_rule given = exchange_given_rule(s);
    mode_plan_whole(s, bytes);
    mode_plan_updates(s,
                      paired ? pair_most_updated(s, s->bucket_bytes ? &given : NULL) : parameters,
                      parameters, bytes);
    bytes[MEMORY_COMMUNICATION] += paired ? store_whole_bytes(parameters, mode_plan_rows(s)) : rows;
    bytes[MEMORY_COMMUNICATION] += batch_sums_bytes(s);
    if (s->gradient_type != DTYPE_F32 && s->size > 1)
        bytes[MEMORY_COMMUNICATION] += parameters * sizeof(uint16_t);
}

static int setup(mode *self, ls_error *error) {
    bool factored[self->settings.graph->unit_count + 1], any = false;
    LS_TRY(mode_hold_whole(self, error));
    self->hooks.parameters = mode_whole_parameters;
    self->hooks.gradient = mode_whole_gradient;
    self->hooks.buffers = mode_whole_buffers;
    self->hooks.gradient_ready = gradient_ready;
    if (!self->settings.device->facts.asynchronous) /* there, the comm gets on by itself */
        self->hooks.between = between;
    else if (self->settings.settled && self->settings.comm->is->capturable)
        self->hooks.backward_done = backward_done;
    LS_TRY(exchange_choose(self, error));
    for (int unit = 0; unit < self->settings.graph->unit_count; unit++)
        any |= factored[unit] = self->exchange.units[unit].factors;
    if (any) {
        self->hooks.takes_factors = takes_factors;
        self->hooks.input_ready = input_ready;
        self->hooks.delta_ready = delta_ready;
    }
    LS_TRY(cut_buckets(self, factored, any, error));
    ddp_state *state = self->state;
    if (self->settings.between_nodes && !self->settings.device->facts.asynchronous)
        LS_TRY(outstanding_start_pump(&state->works, error));
    LS_TRY(batch_sums_open(&state->sums, self, &state->works, error));
    return allocate(self, factored, any, error);
}

static void teardown(mode *self) {
    ddp_state *state = self->state;
    pump_stop(state->works.pump);
    factors_destroy(state->factors);
    pair_close(state->pair);
    store_give_back(self->store, state->low);
    store_give_back(self->store, state->sums.given.values);
    free(state);
}

const mode_interface mode_ddp = {
    .name = "ddp",
    .capturable = true,
    .adds_sums = true,
    .has_lanes = true,
    .takes_made = true,
    .exchanges = true,
    .loader_share = mode_loader_own_share,
    .plan_memory = plan_memory,
    .setup = setup,
    .teardown = teardown,
    .begin = begin,
    .loss = mode_loss_own_batch,
    .finish = finish,
    .agree_overflow = agree_overflow,
    .parameters_changed = mode_nothing_to_publish,
};
