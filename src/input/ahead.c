#include "input/ahead.h"

int ahead_open(ahead *self, device *device, device_stream *steps, ls_error *error) {
    *self = (ahead){.device = device, .steps = steps};
    device_event **orders[] = {&self->free, &self->made, &self->forked, &self->joined};
    for (size_t index = 0; index < sizeof orders / sizeof orders[0]; index++)
        LS_TRY(device_order_create(device, orders[index], error));
    return device_stream_create(device, STREAM_LAST, &self->stream, error);
}

void ahead_close(ahead *self) {
    device *device = self->device;
    if (self->stream)
        device->is->stream_destroy(device, self->stream);
    device_event *events[] = {self->free, self->made, self->forked, self->joined};
    for (size_t index = 0; index < sizeof events / sizeof events[0]; index++)
        if (events[index])
            device->is->event_destroy(device, events[index]);
    *self = (ahead){0};
}

/* `later` waits for what is in `earlier` by now. */
static int order(ahead *self, device_stream *earlier, device_event *event, device_stream *later,
                 ls_error *error) {
    LS_TRY(self->device->is->event_record(self->device, event, earlier, error));
    return self->device->is->stream_wait_event(self->device, later, event, error);
}

int ahead_fork(ahead *self, ls_error *error) {
    return order(self, self->steps, self->forked, self->stream, error);
}

int ahead_join(ahead *self, ls_error *error) {
    return order(self, self->stream, self->joined, self->steps, error);
}

int ahead_free(ahead *self, ls_error *error) {
    return self->device->is->event_record(self->device, self->free, self->steps, error);
}

int ahead_begin(ahead *self, ls_error *error) {
    return self->device->is->stream_wait_event(self->device, self->stream, self->free, error);
}

int ahead_end(ahead *self, ls_error *error) {
    return self->device->is->event_record(self->device, self->made, self->stream, error);
}

int ahead_take(ahead *self, ls_error *error) {
    return self->device->is->stream_wait_event(self->device, self->steps, self->made, error);
}
