#include "input/batch.h"

int batch_maker_open(batch_maker *self, device *device, const samples *samples, int64_t most,
                     ls_error *error) {
    size_t count = (size_t)most;
    *self = (batch_maker){.device = device, .samples = samples, .most = most};
    LS_TRY(device->is->allocate(device, BATCH_PLACES * count * sizeof *self->labels, "labels",
                                (void **)&self->labels, error));
    if (device->facts.host_addressable)
        return LS_OK;
    LS_TRY(device->is->allocate(device, count * samples->facts.bytes, "a batch of samples",
                                (void **)&self->staged_samples, error));
    LS_TRY(device->is->allocate(device, count * sizeof *self->staged_labels, "labels",
                                (void **)&self->staged_labels, error));
    return device->is->allocate(device, count * sizeof *self->staged_ids, "sample ids",
                                (void **)&self->staged_ids, error);
}

void batch_maker_close(batch_maker *self) {
    void *memory[] = {self->labels, self->staged_samples, self->staged_labels, self->staged_ids};
    for (size_t index = 0; index < sizeof memory / sizeof memory[0]; index++)
        if (memory[index])
            self->device->is->release(self->device, memory[index]);
    *self = (batch_maker){0};
}

int32_t *batch_labels(const input_batch *self) {
    return self->maker->labels + (size_t)self->place * (size_t)self->maker->most;
}

static bool is_staged(const input_batch *self) {
    return self->maker->staged_samples && !self->from.order && self->loaded > 0;
}

int batch_stage(const input_batch *self, device_stream *stream, ls_error *error) {
    const batch_maker *maker = self->maker;
    const sample_place *from = &self->from;
    device *device = maker->device;
    size_t count = (size_t)self->loaded;
    if (!is_staged(self))
        return LS_OK;
    struct {
        void *to;
        const void *from;
        size_t bytes;
    } parts[] = {{maker->staged_samples, from->samples, maker->samples->facts.bytes * count},
                 {maker->staged_labels, from->labels, sizeof(int32_t) * count},
                 {maker->staged_ids, from->ids, sizeof(int64_t) * count}};
    for (size_t part = 0; part < sizeof parts / sizeof parts[0]; part++)
        if (parts[part].from)
            LS_TRY(device->is->copy(device, stream, parts[part].to, parts[part].from,
                                    parts[part].bytes, COPY_HOST_TO_DEVICE, error));
    return LS_OK;
}

int batch_make(const input_batch *self, device_stream *stream, share part, tensor_layout layout,
               dtype type, void *out, ls_error *error) {
    const batch_maker *maker = self->maker;
    const samples *samples = maker->samples;
    sample_place from = self->from;
    sample_target to = {
        .layout = layout, .type = type, .out = out, .labels = batch_labels(self) + part.first};
    if (is_staged(self)) {
        from.samples = maker->staged_samples;
        from.labels = maker->staged_labels;
        from.ids = from.ids ? maker->staged_ids : NULL;
    }
    if (from.order) {
        from.order += part.first;
    } else if (part.first > 0) { /* what is not there is not asked for */
        from.samples = (const uint8_t *)from.samples + (size_t)part.first * samples->facts.bytes;
        from.labels += part.first;
        from.ids += from.ids ? part.first : 0;
    }
    return samples->is->make(samples, maker->device, stream, &from, (int)part.count, &to, error);
}
