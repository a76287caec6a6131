#include "train/optimizer.h"
#include "train/optimizer_slices.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(optimizer_settings, field)
#define GRADIENTS STORE_BIT(STORE_GRADIENTS)

static const option common[] = {
    {"optimizer", OPTION_CHOICE, AT(rule), "NAME", "adam", rule_choices, 0, 0,
     "Update the parameters by this rule; adamw: Adam with a decoupled decay.", false},
    {"learning-rate", OPTION_REAL, AT(learning_rate), "X", "0.001", NULL, 1e-12, 1e6,
     "Set the step size, the highest of the schedule.", false},
    {"weight-decay", OPTION_REAL, AT(weight_decay), "X", "0", NULL, 0, 1e6,
     "Pull parameters towards 0: added to the gradient (L2), or adamw's.", false},
    {"decay", OPTION_CHOICE, AT(decay), "WHAT", "all", DECAY_CHOICES, 0, 0,
     "Let --weight-decay pull all parameters, or weights alone: no bias, no norm.", false},
    {"clip-norm", OPTION_REAL, AT(clip_norm), "X", NULL, NULL, 1e-12, 1e12,
     "Scale the gradient down to this Euclidean norm where its own is larger.", false},
    {"clip-value", OPTION_REAL, AT(clip_value), "X", NULL, NULL, 1e-12, 1e12,
     "Limit each element of the gradient to +-X.", false},
    {"ema", OPTION_REAL, AT(average), "DECAY", NULL, NULL, 1e-6, 0.9999999,
     "Keep a moving average of the parameters with this decay, and evaluate that.", false},
    {0}};

int optimizer_add_options(option_groups *list, size_t offset, ls_error *error) {
    LS_TRY(option_add_group(list, (option_group){"Optimizer", common, offset}, error));
    for (int number = 0; number < RULE_COUNT; number++) {
        const optimizer_rule *rule = rule_at(number);
        option_group own = {rule->heading, rule->options,
                            offset + AT(own) + (size_t)number * sizeof(own_settings)};
        if (rule->options)
            LS_TRY(option_add_group(list, own, error));
    }
    return LS_OK;
}

/* The number of the rule whose options a rule takes. */
static int options_of(int number) {
    const optimizer_rule *rule = rule_at(number);
    return rule->takes_options_of ? rule_find(rule->takes_options_of) : number;
}

static int check_own_options(const optimizer_settings *settings, int chosen, ls_error *error) {
    for (int number = 0; number < RULE_COUNT; number++) {
        const optimizer_rule *other = rule_at(number);
        const char *given = NULL;
        if (number != options_of(chosen) && other->options)
            given = option_changed(other->options, &settings->own[number]);
        if (given)
            return ls_fail(error, LS_BAD_INPUT,
                           "--%s belongs to --optimizer %s; found it with --optimizer %s", given,
                           other->name, settings->rule);
    }
    return LS_OK;
}

int optimizer_create(optimizer *self, const optimizer_settings *settings, bool scaling,
                     ls_error *error) {
    int chosen = rule_find(settings->rule);
    *self = (optimizer){.settings = settings,
                        .rule = rule_at(chosen),
                        .own = &settings->own[options_of(chosen)],
                        .scaling = scaling};
    LS_TRY(check_own_options(settings, chosen, error));
    if (settings->clip_norm > 0 && settings->clip_value > 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--clip-norm %g and --clip-value %g contradict: give one",
                       settings->clip_norm, settings->clip_value);
    return self->rule->check ? self->rule->check(self->own, error) : LS_OK;
}

int optimizer_moments(const optimizer *self) {
    const char *const *names = self->rule->moments(self->own);
    int count = 0;
    while (names[count])
        count++;
    return count;
}

bool optimizer_decays_all(const optimizer *self) {
    return self->settings->weight_decay == 0 || strcmp(self->settings->decay, "all") == 0;
}

void optimizer_describe_clipping(const optimizer *self, text_buffer *out) {
    if (optimizer_clips_norm(self))
        text_add(out, "clipped to norm %g (so updated at once)", self->settings->clip_norm);
    else if (self->settings->clip_value > 0)
        text_add(out, "clipped to values of %g", self->settings->clip_value);
}

double optimizer_momentum(const optimizer *self) {
    return self->rule->momentum ? self->rule->momentum(self->own) : NAN;
}

static int attach_rates(optimizer *self, const rate_table *rates, ls_error *error) {
    device *device = self->device;
    device_stream *stream = self->mode->settings.stream;
    size_t bytes = (size_t)rates->count * sizeof *rates->rates;
    LS_TRY(device->is->allocate(device, bytes, "the schedule of the learning rate",
                                (void **)&self->rates, error));
    self->rate_count = rates->count;
    LS_TRY(device->is->copy(device, stream, self->rates, rates->rates, bytes, COPY_HOST_TO_DEVICE,
                            error));
    return device->is->stream_synchronize(device, stream, error);
}

static void group(optimizer *self, const graph *graph) {
    bool all = optimizer_decays_all(self);
    for (int index = 0; index < self->range_count; index++) {
        parameter_range *range = &self->ranges[index];
        if (all || graph->parameters[range->parameter].decays)
            range->weight_decay = (float)self->settings->weight_decay;
    }
}

static size_t held_parameters(const store *store) {
    const store_span *spans;
    int count = store_spans(store, STORE_PARAMETERS, &spans);
    size_t held = 0;
    for (int index = 0; index < count; index++)
        held += spans[index].count;
    return held;
}

int optimizer_attach(optimizer *self, mode *mode, network *network, const graph *graph,
                     const rate_table *rates, ls_error *error) {
    size_t most = (size_t)graph->record_count;
    self->mode = mode;
    self->held = held_parameters(mode->store);
    self->ranges = calloc(most, sizeof *self->ranges);
    self->pieces = calloc(most, sizeof *self->pieces);
    self->range_settled = calloc(most, sizeof *self->range_settled);
    if (!self->ranges || !self->pieces || !self->range_settled)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->range_count = network_ranges(network, self->ranges);
    group(self, graph);
    return attach_rates(self, rates, error);
}

void optimizer_begin(optimizer *self, step_state *state, int64_t images) {
    self->state = state;
    self->images = images;
    self->advanced = false;
    self->settled = 0;
    self->waiting.span.count = 0;
    memset(self->range_settled, 0, (size_t)self->range_count * sizeof *self->range_settled);
}

void optimizer_describe(optimizer *self, device *device, device_stream *update_stream,
                        mode_settings *out) {
    self->device = device;
    out->moments = self->rule->moments(self->own);
    out->averages = self->settings->average > 0;
    out->sums_squares = optimizer_clips_norm(self);
    out->updates_pairs = self->rule->pairs(device->is->ops);
    out->settled = self->scaling || optimizer_clips_norm(self) ? NULL : optimizer_settled;
    out->settled_elsewhere = optimizer_settled_elsewhere;
    out->settled_later = optimizer_settled_later;
    out->updates = optimizer_updates;
    out->settled_context = self;
    out->update_stream = update_stream;
}

/* One verdict over all gradients of all ranks, before anything is changed. */
static int look_for_overflow(mode *mode, step_state *state, ls_error *error) {
    const mode_settings *s = &mode->settings;
    for (int index = 0; index < store_slice_count(mode->store); index++) {
        store_slice slice;
        LS_TRY(store_lend_update(mode->store, index, GRADIENTS, 0, &slice, error));
        LS_TRY(s->device->is->ops->check_finite(s->device, s->stream,
                                                slice.gradients + (slice.span.first - slice.origin),
                                                slice.span.count, state, error));
        LS_TRY(store_return(mode->store, 0, &slice, error));
    }
    if (!mode->is->agree_overflow)
        return LS_OK;
    int32_t *overflow = (int32_t *)((char *)state + offsetof(step_state, overflow));
    return mode->is->agree_overflow(mode, overflow, error);
}

/* The squares of what of a unit lies in the slice: whole grains of the unit, so that any ranks'
 * slices have the same sums. */
static int sum_unit(optimizer *self, int unit, const store_slice *slice, double *sums,
                    ls_error *error) {
    const graph_unit *of = &self->mode->settings.graph->units[unit];
    size_t first = slice->span.first, end = first + slice->span.count;
    first = first > of->first ? first : of->first;
    end = end < of->first + of->count ? end : of->first + of->count;
    if (first >= end)
        return LS_OK;
    if ((first - of->first) % SQUARES_GRAIN != 0)
        return ls_fail(error, LS_FAILED, "mode %s updates from the middle of a grain on",
                       self->mode->is->name);
    return self->device->is->ops->sums_of_squares(
        self->device, self->mode->settings.stream, slice->gradients + (first - slice->origin),
        end - first, sums + (first - of->first) / SQUARES_GRAIN, error);
}

/* What others sum is 0 here, and is added: so each sum is one rank's. */
static int clip_norm(optimizer *self, step_state *state, ls_error *error) {
    mode *mode = self->mode;
    const mode_settings *s = &mode->settings;
    const device_interface *is = self->device->is;
    size_t count = mode_count_squares(s->graph);
    if (mode->is->add_up)
        LS_TRY(is->fill_zero(self->device, s->stream, mode->squares, count * sizeof *mode->squares,
                             error));
    for (int index = 0; index < store_slice_count(mode->store); index++) {
        store_slice slice;
        double *sums = mode->squares;
        LS_TRY(store_lend_update(mode->store, index, GRADIENTS, 0, &slice, error));
        for (int unit = 0; unit < s->graph->unit_count; unit++) {
            LS_TRY(sum_unit(self, unit, &slice, sums, error));
            sums += squares_grains(s->graph->units[unit].count);
        }
        LS_TRY(store_return(mode->store, 0, &slice, error));
    }
    if (mode->is->add_up)
        LS_TRY(mode->is->add_up(mode, mode->squares, count, error));
    return is->ops->clip_norm(self->device, s->stream, mode->squares, count,
                              self->settings->clip_norm, state, error);
}

/* Where no update stands in the update's stream, what is waited for is communication. */
static int join_updates(optimizer *self, ls_error *error) {
    mode *mode = self->mode;
    if (!self->at_once || mode->settings.size == 1)
        return mode_join_updates(mode, error);
    LS_TRY(step_clock_waiting(mode->clock, error));
    LS_TRY(mode_join_updates(mode, error));
    return step_clock_resumed(mode->clock, error);
}

/* Where nothing was updated piece by piece: all that this rank updates. */
static int update_at_once(optimizer *self, ls_error *error) {
    mode *mode = self->mode;
    if (self->scaling)
        LS_TRY(look_for_overflow(mode, self->state, error));
    if (optimizer_clips_norm(self))
        LS_TRY(clip_norm(self, self->state, error));
    for (int index = 0; index < store_slice_count(mode->store); index++) {
        store_slice slice;
        LS_TRY(store_lend_update(mode->store, index, STORE_UPDATED | GRADIENTS, STORE_UPDATED,
                                 &slice, error));
        LS_TRY(optimizer_update_slice(self, mode->settings.stream, &slice, error));
        LS_TRY(store_return(mode->store, STORE_UPDATED, &slice, error));
    }
    return LS_OK;
}

/* What was updated piece by piece is in the update's stream, which is joined behind it. */
static int update(optimizer *self, ls_error *error) {
    mode *mode = self->mode;
    LS_TRY(optimizer_update_waiting(self, error));
    bool at_once = self->settled == 0;
    device_stream *stream = at_once ? mode->settings.stream : mode->settings.update_stream;
    if (!at_once && mode->is->publish)
        LS_TRY(mode->is->publish(mode, stream, error));
    LS_TRY(join_updates(self, error));
    if (at_once)
        LS_TRY(update_at_once(self, error));
    if (at_once && mode->is->publish)
        LS_TRY(mode->is->publish(mode, stream, error));
    if (self->settled != self->held)
        return ls_fail(error, LS_FAILED, "mode %s settled %zu gradients of %zu", mode->is->name,
                       self->settled, self->held);
    return LS_OK;
}

int optimizer_update(optimizer *self, ls_error *error) {
    mode *mode = self->mode;
    bool updates = mode_updates(mode);
    mode->is->parameters_changed(mode);
    if (updates)
        LS_TRY(update(self, error));
    if (self->advanced)
        return LS_OK;
    return self->device->is->ops->advance(self->device, mode->settings.stream, self->state,
                                          self->images, true, updates && self->scaling, error);
}

int optimizer_exchange_average(optimizer *self, ls_error *error) {
    mode *mode = self->mode;
    if (store_length(mode->store, STORE_AVERAGE) == 0)
        return LS_OK;
    if (mode_updates(mode))
        LS_TRY(
            store_swap(mode->store, mode->settings.stream, STORE_AVERAGE, STORE_PARAMETERS, error));
    return mode_parameters_written(mode, error);
}

void optimizer_destroy(optimizer *self) {
    free(self->ranges);
    free(self->pieces);
    free(self->range_settled);
    if (self->rates)
        self->device->is->release(self->device, self->rates);
    self->rates = NULL;
    self->ranges = self->pieces = NULL;
    self->range_settled = NULL;
}
