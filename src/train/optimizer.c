#include "train/optimizer.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const char optimizer_choices[] = "adam|sgd";

int optimizer_create(optimizer *self, const char *name, double learning_rate, double weight_decay,
                     double momentum, bool scaling, ls_error *error) {
    *self = (optimizer){.adam = strcmp(name, "adam") == 0,
                        .learning_rate = learning_rate,
                        .weight_decay = weight_decay,
                        .momentum = momentum,
                        .scaling = scaling};
    if (self->adam && momentum != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--momentum belongs to --optimizer sgd; found it with --optimizer adam");
    return LS_OK;
}

int optimizer_moments(const optimizer *self) {
    return self->adam ? 2 : self->momentum != 0 ? 1 : 0;
}

int optimizer_attach(optimizer *self, mode *mode, network *network, const graph *graph,
                     ls_error *error) {
    size_t most = 2 * (size_t)graph->unit_count;
    self->mode = mode;
    self->ranges = calloc(most, sizeof *self->ranges);
    self->pieces = calloc(most, sizeof *self->pieces);
    self->range_settled = calloc(most, sizeof *self->range_settled);
    if (!self->ranges || !self->pieces || !self->range_settled)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->range_count = network_ranges(network, (float)self->learning_rate,
                                       (float)self->weight_decay, self->ranges);
    return LS_OK;
}

static int adam(optimizer *self, device_stream *stream, const parameter_range *ranges, int count,
                ls_error *error) {
    const mode *mode = self->mode;
    device *device = mode->settings.device;
    adam_arguments arguments = {.parameters = mode->parameters,
                                .gradients = mode->gradients,
                                .added = mode->added_gradients,
                                .copied = mode->copied_parameters,
                                .first_moment = mode->moments[0],
                                .second_moment = mode->moments[1],
                                .beta1 = 0.9f,
                                .beta2 = 0.999f,
                                .epsilon = 1e-8f,
                                .state = self->state};
    return device->is->ops->adam(device, stream, &arguments, ranges, count, error);
}

static int sgd(optimizer *self, device_stream *stream, const parameter_range *ranges, int count,
               ls_error *error) {
    const mode *mode = self->mode;
    device *device = mode->settings.device;
    sgd_arguments arguments = {.parameters = mode->parameters,
                               .gradients = mode->gradients,
                               .added = mode->added_gradients,
                               .copied = mode->copied_parameters,
                               .velocity = mode->moments[0],
                               .momentum = (float)self->momentum,
                               .state = self->state};
    return device->is->ops->sgd(device, stream, &arguments, ranges, count, error);
}

static int run(optimizer *self, device_stream *stream, const parameter_range *ranges, int count,
               ls_error *error) {
    return self->adam ? adam(self, stream, ranges, count, error)
                      : sgd(self, stream, ranges, count, error);
}

void optimizer_begin(optimizer *self, const step_state *state) {
    self->state = state;
    self->settled = 0;
    memset(self->range_settled, 0, (size_t)self->range_count * sizeof *self->range_settled);
}

/* The part of a range that lies in [first, end), into *piece: true where it can be updated now. A
 * range whose packed copy is made of all of it waits for its last element. */
static bool take_piece(optimizer *self, int range, size_t first, size_t end,
                       parameter_range *piece) {
    const parameter_range *whole = &self->ranges[range];
    size_t whole_end = whole->first + whole->count;
    const ops *ops = self->mode->settings.device->is->ops;
    if (first < whole->first)
        first = whole->first;
    if (end > whole_end)
        end = whole_end;
    if (first >= end)
        return false;
    self->range_settled[range] += end - first;
    *piece = *whole;
    size_t element = whole->packing ? ops->plan_packed_element(whole->packing) : 0;
    if (whole->packing && element == 0)
        return self->range_settled[range] == whole->count;
    piece->first = first;
    piece->count = end - first;
    if (whole->packing)
        piece->packed = (char *)whole->packed + (first - whole->first) * element;
    return true;
}

static int settled(void *context, device_stream *stream, size_t first, size_t count,
                   ls_error *error) {
    optimizer *self = context;
    int taken = 0;
    if (self->at_once)
        return LS_OK;
    self->settled += count;
    for (int range = 0; range < self->range_count; range++)
        taken += take_piece(self, range, first, first + count, &self->pieces[taken]);
    return taken ? run(self, stream, self->pieces, taken, error) : LS_OK;
}

/* The packed copy of a range's part that lies in [first, end), of parameters that came from another
 * rank. */
static int repack(optimizer *self, device_stream *stream, int range, size_t first, size_t end,
                  ls_error *error) {
    const mode_settings *s = &self->mode->settings;
    parameter_range piece;
    if (!take_piece(self, range, first, end, &piece) || !piece.packing)
        return LS_OK;
    const float *parameters = self->mode->parameters + piece.first;
    if (s->device->is->ops->plan_packed_element(piece.packing) == 0)
        return s->device->is->ops->pack_weights(piece.packing, stream, parameters, piece.packed,
                                                error);
    return s->device->is->ops->cast(s->device, stream, piece.count, DTYPE_F32, parameters,
                                    network_type(s->network), piece.packed, error);
}

static int settled_elsewhere(void *context, device_stream *stream, size_t first, size_t count,
                             ls_error *error) {
    optimizer *self = context;
    self->settled += count;
    for (int range = 0; range < self->range_count; range++)
        LS_TRY(repack(self, stream, range, first, first + count, error));
    return LS_OK;
}

void optimizer_describe(optimizer *self, device_stream *update_stream, mode_settings *out) {
    out->moments = optimizer_moments(self);
    out->settled = self->scaling ? NULL : settled;
    out->settled_elsewhere = settled_elsewhere;
    out->settled_context = self;
    out->update_stream = update_stream;
}

/* One verdict over all gradients of all ranks, before anything is changed. */
static int look_for_overflow(mode *mode, step_state *state, ls_error *error) {
    const mode_settings *s = &mode->settings;
    LS_TRY(s->device->is->ops->check_finite(s->device, s->stream, mode->gradients,
                                            s->graph->parameter_count, state, error));
    if (!mode->is->agree_overflow)
        return LS_OK;
    int32_t *overflow = (int32_t *)((char *)state + offsetof(step_state, overflow));
    return mode->is->agree_overflow(mode, overflow, error);
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

int optimizer_update(optimizer *self, step_state *state, ls_error *error) {
    mode *mode = self->mode;
    mode->is->parameters_changed(mode);
    if (!mode->is->updates(mode))
        return LS_OK;
    LS_TRY(join_updates(self, error));
    if (self->settled > 0 && self->settled != mode->settings.graph->parameter_count)
        return ls_fail(error, LS_FAILED, "mode %s settled %zu gradients of %zu", mode->is->name,
                       self->settled, mode->settings.graph->parameter_count);
    if (self->settled > 0)
        return LS_OK;
    if (self->scaling)
        LS_TRY(look_for_overflow(mode, state, error));
    return run(self, mode->settings.stream, self->ranges, self->range_count, error);
}

void optimizer_destroy(optimizer *self) {
    free(self->ranges);
    free(self->pieces);
    free(self->range_settled);
    self->ranges = self->pieces = NULL;
    self->range_settled = NULL;
}
