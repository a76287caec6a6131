/* The next batch, made while a step runs. It reads nothing that a step writes: images, order and
 * epoch stand still, and the input that it fills was read last by the step before, which is done
 * when `ahead_free` is. */
#include "mode/lanes.h"
#include "mode/parts.h"

int mode_ahead_open(mode *self, ls_error *error) {
    device *device = self->settings.device;
    if (!self->is->takes_made || !device->facts.asynchronous)
        return LS_OK;
    LS_TRY(device->is->event_create(device, &self->ahead_free, error));
    LS_TRY(device->is->event_create(device, &self->ahead_made, error));
    return device->is->stream_create(device, &self->ahead, error);
}

void mode_ahead_close(mode *self) {
    device *device = self->settings.device;
    if (self->ahead)
        device->is->stream_destroy(device, self->ahead);
    if (self->ahead_free)
        device->is->event_destroy(device, self->ahead_free);
    if (self->ahead_made)
        device->is->event_destroy(device, self->ahead_made);
}

int mode_ahead_begin(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    return s->device->is->event_record(s->device, self->ahead_free, s->stream, error);
}

int mode_make_ahead(mode *self, const mode_batch *next, ls_error *error) {
    const mode_settings *s = &self->settings;
    mode_batch batch = *next;
    batch.state = next->origin;
    if (batch.order)
        batch.order += next->first;
    LS_TRY(s->device->is->stream_wait_event(s->device, self->ahead, self->ahead_free, error));
    LS_TRY(mode_stage_in(self, self->ahead, &batch, error));
    if (self->lanes)
        LS_TRY(lanes_make(self->lanes, self->ahead, &batch, error));
    else
        LS_TRY(mode_make_batch(self, self->ahead, &batch, network_input(s->network, next->place),
                               error));
    return s->device->is->event_record(s->device, self->ahead_made, self->ahead, error);
}

int mode_ahead_end(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    return s->device->is->stream_wait_event(s->device, s->stream, self->ahead_made, error);
}
