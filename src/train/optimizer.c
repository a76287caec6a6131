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

int optimizer_attach(optimizer *self, network *network, const graph *graph, ls_error *error) {
    self->ranges = calloc(2 * (size_t)graph->unit_count, sizeof *self->ranges);
    if (!self->ranges)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->range_count = network_ranges(network, (float)self->learning_rate,
                                       (float)self->weight_decay, self->ranges);
    return LS_OK;
}

static int adam(optimizer *self, mode *mode, const step_state *state, ls_error *error) {
    const mode_settings *s = &mode->settings;
    adam_arguments arguments = {.parameters = mode->parameters,
                                .gradients = mode->gradients,
                                .first_moment = mode->moments[0],
                                .second_moment = mode->moments[1],
                                .beta1 = 0.9f,
                                .beta2 = 0.999f,
                                .epsilon = 1e-8f,
                                .state = state};
    return s->device->is->ops->adam(s->device, s->stream, &arguments, self->ranges,
                                    self->range_count, error);
}

static int sgd(optimizer *self, mode *mode, const step_state *state, ls_error *error) {
    const mode_settings *s = &mode->settings;
    sgd_arguments arguments = {.parameters = mode->parameters,
                               .gradients = mode->gradients,
                               .velocity = mode->moments[0],
                               .momentum = (float)self->momentum,
                               .state = state};
    return s->device->is->ops->sgd(s->device, s->stream, &arguments, self->ranges,
                                   self->range_count, error);
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

int optimizer_update(optimizer *self, mode *mode, step_state *state, ls_error *error) {
    mode->is->parameters_changed(mode);
    if (!mode->is->updates(mode))
        return LS_OK;
    if (self->scaling)
        LS_TRY(look_for_overflow(mode, state, error));
    return self->adam ? adam(self, mode, state, error) : sgd(self, mode, state, error);
}

void optimizer_destroy(optimizer *self) {
    free(self->ranges);
    self->ranges = NULL;
}
