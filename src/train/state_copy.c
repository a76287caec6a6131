#include "train/state_copy.h"

#include "train/trainer.h"

/* Memory of the device that is not there is no reason to end a run: the steps wait for the copy. */
static int open_aside(size_t bytes, state_copy *out, ls_error *error) {
    device *device = out->device;
    ls_error no_room = {0};
    void *memory = NULL;
    if (!device->facts.asynchronous || bytes == 0 ||
        device->is->allocate(device, bytes, "a copy of the state", &memory, &no_room) != LS_OK)
        return LS_OK;
    out->aside = memory;
    LS_TRY(device_order_create(device, &out->ready, error));
    return device_stream_create(device, STREAM_LAST, &out->stream, error);
}

int state_copy_open(const trainer *self, size_t elements, state_copy *out, ls_error *error) {
    device *device = self->engine.device;
    size_t bytes = elements * sizeof *out->host;
    void *host = NULL;
    *out = (state_copy){.device = device};
    LS_TRY(open_aside(bytes, out, error));
    if (bytes > 0) /* pages that were touched: the first save does not wait for them */
        LS_TRY(device->is->host_allocate(device, bytes, &host, error));
    out->host = host;
    return LS_OK;
}

void state_copy_close(state_copy *self) {
    device *device = self->device;
    if (self->stream)
        device->is->stream_destroy(device, self->stream);
    if (self->ready)
        device->is->event_destroy(device, self->ready);
    if (self->host)
        device->is->host_release(device, self->host);
    if (self->aside)
        device->is->release(device, self->aside);
    *self = (state_copy){0};
}

static int send_aside(const trainer *self, size_t elements, const state_copy *copy,
                      ls_error *error) {
    device *device = copy->device;
    LS_TRY(device->is->event_record(device, copy->ready, self->engine.stream, error));
    LS_TRY(device->is->stream_wait_event(device, copy->stream, copy->ready, error));
    return device->is->copy(device, copy->stream, copy->host, copy->aside,
                            elements * sizeof *copy->host, COPY_DEVICE_TO_HOST, error);
}

int state_copy_begin(const trainer *self, const saved_arrays *arrays, state_copy *copy,
                     ls_error *error) {
    size_t done = 0;
    for (int index = 0; index < arrays->own_count; index++) {
        const checkpoint_range *range = &arrays->own[index];
        store_span span = {(size_t)range->first, (size_t)range->count};
        const store *store = self->learner.mode->store;
        store_kind kind = arrays->kinds[range->array];
        LS_TRY(copy->aside
                   ? store_copy(store, self->engine.stream, kind, span, copy->aside + done, error)
                   : store_read(store, self->engine.stream, kind, span, copy->host + done, error));
        done += span.count;
    }
    return copy->aside && done > 0 ? send_aside(self, done, copy, error) : LS_OK;
}

int state_copy_wait(const state_copy *self, ls_error *error) {
    return self->stream ? self->device->is->stream_synchronize(self->device, self->stream, error)
                        : LS_OK;
}
