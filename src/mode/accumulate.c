#include "mode/accumulate.h"

#include "mode/store_memory.h"

#include <stdlib.h>

struct accumulator {
    mode *mode;
    float *sum; /* device memory, rows as the gradients': of the micro-batches before this one */
    network_hooks
        hooks; /* the mode's, but for what these do otherwise; their context is the mode */
};

micro_batch micro_batch_of(const mode_interface *is, const mode_settings *s, int64_t global_count,
                           int number) {
    share own = share_of(global_count, s->rank, s->size);
    share part = share_of(is->scatters ? global_count : own.count, number, s->micro_batches);
    micro_batch out = {.number = number, .global_count = global_count, .loaded = part};
    if (!is->scatters) {
        out.count = (int)part.count;
        out.place = own.first + part.first;
        return out;
    }
    out.global_count = part.count;
    own = share_of(part.count, s->rank, s->size);
    out.count = (int)own.count;
    out.place = part.first + own.first;
    if (s->rank != 0)
        out.loaded = (share){0, 0};
    return out;
}

bool accumulator_at_last(const accumulator *self) {
    return self->mode->at_hand.number == self->mode->settings.micro_batches - 1;
}

/* ---- a row of gradients */

/* Of the sum, in whole cache lines. */
static size_t row_at(const accumulator *self, int row) {
    enum { GRAIN = 64 };
    size_t count = self->mode->settings.graph->parameter_count;
    return (size_t)row * ((count + GRAIN - 1) / GRAIN * GRAIN);
}

static float *sum_of(const accumulator *self, int row, int unit) {
    return self->sum + row_at(self, row) + self->mode->settings.graph->units[unit].first;
}

static int own_of(const accumulator *self, int row, int unit, float **out, ls_error *error) {
    mode *mode = self->mode;
    LS_TRY(mode->hooks.gradient(mode, unit, out, error));
    *out += (size_t)row * mode->gradient_stride;
    return LS_OK;
}

int accumulator_gradient(const accumulator *self, int row, int unit, float **out, ls_error *error) {
    if (self->mode->at_hand.number > 0)
        return own_of(self, row, unit, out, error);
    *out = sum_of(self, row, unit);
    return LS_OK;
}

int accumulator_add(const accumulator *self, int row, int unit, ls_error *error) {
    const mode_settings *s = &self->mode->settings;
    float *own, *sum = sum_of(self, row, unit);
    bool last = accumulator_at_last(self);
    if (self->mode->at_hand.number == 0)
        return LS_OK;
    LS_TRY(own_of(self, row, unit, &own, error));
    return s->device->is->ops->add(s->device, s->stream, s->graph->units[unit].count, DTYPE_F32,
                                   last ? sum : own, last ? own : sum, error);
}

/* ---- hooks, where there are no lanes */

static int gradient(void *context, int unit, float **out, ls_error *error) {
    return accumulator_gradient(((mode *)context)->accumulator, 0, unit, out, error);
}

static int gradient_ready(void *context, int unit, ls_error *error) {
    mode *mode = context;
    LS_TRY(accumulator_add(mode->accumulator, 0, unit, error));
    return accumulator_at_last(mode->accumulator) && mode->hooks.gradient_ready
               ? mode->hooks.gradient_ready(mode, unit, error)
               : LS_OK;
}

static int backward_done(void *context, int unit, ls_error *error) {
    mode *mode = context;
    return accumulator_at_last(mode->accumulator) && mode->hooks.backward_done
               ? mode->hooks.backward_done(mode, unit, error)
               : LS_OK;
}

/* ---- open and close */

int accumulator_create(mode *mode, accumulator **out, ls_error *error) {
    const mode_settings *s = &mode->settings;
    accumulator *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    *out = self;
    self->mode = mode;
    self->hooks = mode->hooks;
    self->hooks.gradient = gradient;
    self->hooks.gradient_ready = gradient_ready;
    self->hooks.backward_done = backward_done;
    size_t elements = row_at(self, mode->lane_count - 1) + s->graph->parameter_count;
    return store_take(mode->store, MEMORY_GRADIENTS, false, elements * sizeof *self->sum,
                      "accumulated gradients", (void **)&self->sum, error);
}

void accumulator_destroy(accumulator *self) {
    if (!self)
        return;
    store_give_back(self->mode->store, self->sum);
    free(self);
}

const network_hooks *accumulator_hooks(const accumulator *self) {
    return &self->hooks;
}
