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
    void *memory[] = {self->labels,     self->staged_samples, self->staged_labels,
                      self->staged_ids, self->other_labels,   self->weights};
    for (size_t index = 0; index < sizeof memory / sizeof memory[0]; index++)
        if (memory[index])
            self->device->is->release(self->device, memory[index]);
    *self = (batch_maker){0};
}

int32_t *batch_labels(const input_batch *self) {
    return self->maker->labels + (size_t)self->place * (size_t)self->maker->most;
}

int batch_maker_mix(batch_maker *self, const mixing *how, ls_error *error) {
    device *device = self->device;
    size_t count = BATCH_PLACES * (size_t)self->most;
    if (!device->is->ops->mix)
        return ls_fail(error, LS_BAD_INPUT, "--%s: device %s mixes no samples (--device cpu does)",
                       how->mixup > 0 ? "mixup" : "cutmix", device->is->name);
    self->mixing = *how;
    LS_TRY(device->is->allocate(device, count * sizeof *self->other_labels, "partners' labels",
                                (void **)&self->other_labels, error));
    return device->is->allocate(device, count * sizeof *self->weights, "weights of labels",
                                (void **)&self->weights, error);
}

static size_t place_of(const input_batch *self) {
    return (size_t)self->place * (size_t)self->maker->most;
}

static bool is_mixed(const input_batch *self) {
    return self->training && self->maker->other_labels;
}

int32_t *batch_other_labels(const input_batch *self) {
    return is_mixed(self) ? self->maker->other_labels + place_of(self) : NULL;
}

float *batch_weights(const input_batch *self) {
    return is_mixed(self) ? self->maker->weights + place_of(self) : NULL;
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

static int make_part(const input_batch *self, device_stream *stream, share part,
                     const sample_target *to, ls_error *error) {
    const batch_maker *maker = self->maker;
    const samples *samples = maker->samples;
    sample_place from = self->from;
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
    return samples->is->make(samples, maker->device, stream, &from, (int)part.count, to, error);
}

/* Where sample `at` of what was loaded lies: -1 is the first one's partner, `loaded` the last
 * one's. */
static int64_t loaded_at(const input_batch *self, int64_t at) {
    return at < 0 ? self->loaded : at == self->loaded ? self->loaded + 1 : at;
}

/* A partner from outside of the part is made behind it. On devices of the host alone, which have
 * the batch's numbers at hand. */
static int make_partner(const input_batch *self, device_stream *stream, int64_t at, void *out,
                        const sample_target *like, int32_t *label, ls_error *error) {
    sample_target to = *like;
    to.out = out;
    to.labels = label;
    return make_part(self, stream, (share){loaded_at(self, at), 1}, &to, error);
}

static int mix_part(const input_batch *self, device_stream *stream, share part,
                    const sample_target *to, ls_error *error) {
    const batch_maker *maker = self->maker;
    const sample_facts *facts = &maker->samples->facts;
    size_t bytes =
        mixing_sample_elements(to->layout, facts->height, facts->width, facts->channels) *
        dtype_bytes(to->type);
    char *beside = (char *)to->out + bytes * (size_t)part.count;
    mix_arguments arguments = {.how = maker->mixing,
                               .state = self->state,
                               .first = self->position + part.first,
                               .global_count = self->global_count,
                               .count = (int)part.count,
                               .height = facts->height,
                               .width = facts->width,
                               .channels = facts->channels,
                               .layout = to->layout,
                               .type = to->type,
                               .images = to->out,
                               .labels = to->labels,
                               .before = beside,
                               .after = beside + bytes,
                               .other_labels = batch_other_labels(self) + part.first,
                               .weights = batch_weights(self) + part.first};
    if (mixes_with_before(arguments.first))
        LS_TRY(
            make_partner(self, stream, part.first - 1, beside, to, &arguments.before_label, error));
    if (mixes_with_after(arguments.first, part.count, self->global_count))
        LS_TRY(make_partner(self, stream, part.first + part.count, beside + bytes, to,
                            &arguments.after_label, error));
    return maker->device->is->ops->mix(maker->device, stream, &arguments, error);
}

int batch_make(const input_batch *self, device_stream *stream, share part, tensor_layout layout,
               dtype type, void *out, ls_error *error) {
    sample_target to = {
        .layout = layout, .type = type, .out = out, .labels = batch_labels(self) + part.first};
    LS_TRY(make_part(self, stream, part, &to, error));
    return is_mixed(self) && part.count > 0 ? mix_part(self, stream, part, &to, error) : LS_OK;
}
