#include "train/feed.h"
#include "base/share.h"
#include "data/sampler.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 4, STATES = 2 };

int feed_find(feed *self, const char *folder, const char *split, int64_t global_batch,
              ls_error *error) {
    LS_TRY(dataset_open(folder, split, &self->data, error));
    int64_t images = self->data->facts.images;
    self->settings.global_batch = global_batch;
    self->batches = (images + global_batch - 1) / global_batch;
    self->last = images - (self->batches - 1) * global_batch;
    return LS_OK;
}

static size_t image_bytes(const feed *self) {
    const dataset_facts *facts = &self->data->facts;
    return (size_t)facts->height * (size_t)facts->width * (size_t)facts->channels;
}

/* This rank's samples of an epoch. */
static int64_t epoch_share(const feed *self) {
    const feed_settings *s = &self->settings;
    return (self->batches - 1) * share_of(s->global_batch, s->rank, s->size).count +
           share_of(self->last, s->rank, s->size).count;
}

/* At most half of what is free: activations, and what the libraries take later, come out of it. */
static int choose_place(const feed *self, bool *resident, ls_error *error) {
    const feed_settings *s = &self->settings;
    const char *place = s->place;
    *resident = false;
    if (s->device->facts.host_addressable) {
        if (strcmp(place, "device") == 0)
            return ls_fail(error, LS_BAD_INPUT,
                           "--data-place device: the %s device computes on host memory (leave it "
                           "out, or give auto)",
                           s->device->is->name);
        return LS_OK;
    }
    *resident = strcmp(place, "device") == 0;
    if (strcmp(place, "auto") != 0)
        return LS_OK;
    size_t needed = (size_t)self->data->facts.images * (image_bytes(self) + sizeof(int32_t));
    size_t free_bytes, total_bytes;
    LS_TRY(s->device->is->memory(s->device, &free_bytes, &total_bytes, error));
    *resident = needed <= free_bytes / 2;
    return LS_OK;
}

static int to_device(feed *self, void *to, const void *from, size_t bytes, ls_error *error) {
    device *device = self->settings.device;
    return device->is->copy(device, self->settings.stream, to, from, bytes, COPY_HOST_TO_DEVICE,
                            error);
}

/* `images` of them, at `from`. */
static int place_on_device(feed *self, size_t images, const uint8_t *from, const int32_t *labels,
                           ls_error *error) {
    device *device = self->settings.device;
    size_t order = (size_t)epoch_share(self) * sizeof(int64_t);
    LS_TRY(device->is->allocate(device, images * image_bytes(self), "the data set's images",
                                (void **)&self->images, error));
    LS_TRY(device->is->allocate(device, images * sizeof(int32_t), "the data set's labels",
                                (void **)&self->labels, error));
    LS_TRY(device->is->allocate(device, order, "the order of the images", (void **)&self->order,
                                error));
    LS_TRY(device->is->host_allocate(device, order, (void **)&self->host_order, error));
    LS_TRY(to_device(self, self->images, from, images * image_bytes(self), error));
    LS_TRY(to_device(self, self->labels, labels, images * sizeof(int32_t), error));
    return device->is->stream_synchronize(device, self->settings.stream, error);
}

static int allocate_blank(feed *self, ls_error *error) {
    const feed_settings *s = &self->settings;
    size_t most = (size_t)share_of(s->global_batch, 0, s->size).count;
    self->blank_images = calloc(most, image_bytes(self));
    self->blank_labels = calloc(most, sizeof *self->blank_labels);
    self->blank_ids = calloc(most, sizeof *self->blank_ids);
    if (!self->blank_images || !self->blank_labels || !self->blank_ids)
        return ls_fail(error, LS_FAILED, "out of memory");
    return LS_OK;
}

/* This rank's share of an epoch's first batch. */
static share first_share(const feed *self) {
    return share_of(feed_batch_images(self, 0), self->settings.rank, self->settings.size);
}

static int hold_first_batch(feed *self, ls_error *error) {
    const feed_settings *s = &self->settings;
    share mine = first_share(self);
    size_t bytes = image_bytes(self);
    sampler order;
    LS_TRY(allocate_blank(self, error));
    sampler_start(&order, self->data->facts.images, s->seed, 1, s->training);
    for (int64_t index = 0; index < mine.count; index++) {
        int64_t sample = sampler_index(&order, mine.first + index);
        self->blank_ids[index] = sample;
        self->blank_labels[index] = self->data->labels[sample];
        memcpy(self->blank_images + (size_t)index * bytes,
               self->data->images + (size_t)sample * bytes, bytes);
    }
    if (s->device->facts.host_addressable)
        return LS_OK;
    return place_on_device(self, (size_t)mine.count, self->blank_images, self->blank_labels, error);
}

static int open_loader(feed *self, ls_error *error) {
    const feed_settings *s = &self->settings;
    loader_settings settings = {.global_batch = s->global_batch,
                                .rank = s->rank,
                                .size = s->size,
                                .seed = s->seed,
                                .shuffled = s->training,
                                .slots = SLOTS,
                                .processing_units = s->processing_units,
                                .processing_unit_count = s->processing_unit_count};
    LS_TRY(allocate_blank(self, error));
    if (s->device->facts.asynchronous)
        LS_TRY(s->device->is->event_create(s->device, &self->staged, error));
    return loader_create(self->data, s->device, &settings, &self->loader, error);
}

static int open_state(feed *self, ls_error *error) {
    device *device = self->settings.device;
    size_t bytes = STATES * sizeof *self->state;
    LS_TRY(device->is->allocate(device, bytes, "the step's state", (void **)&self->state, error));
    LS_TRY(device->is->host_allocate(device, bytes, (void **)&self->host_state, error));
    self->host_state[0] = self->host_state[1] = (step_state){.loss_scale = 1};
    return feed_write_state(self, error);
}

int feed_open(feed *self, const feed_settings *settings, ls_error *error) {
    bool resident;
    self->settings = *settings;
    LS_TRY(open_state(self, error));
    if (settings->size == 0)
        return LS_OK;
    LS_TRY(dataset_load(self->data, error));
    LS_TRY(choose_place(self, &resident, error));
    if (settings->one_batch)
        LS_TRY(hold_first_batch(self, error));
    else if (resident)
        LS_TRY(place_on_device(self, (size_t)self->data->facts.images, self->data->images,
                               self->data->labels, error));
    else
        LS_TRY(open_loader(self, error));
    self->settings.processing_units = NULL;
    return LS_OK;
}

void feed_close(feed *self) {
    device *device = self->settings.device;
    loader_close(self->loader);
    void *on_device[] = {self->images, self->labels, self->order, self->state};
    for (size_t index = 0; index < sizeof on_device / sizeof on_device[0]; index++)
        if (on_device[index])
            device->is->release(device, on_device[index]);
    void *pinned[] = {self->host_order, self->host_state};
    for (size_t index = 0; index < sizeof pinned / sizeof pinned[0]; index++)
        if (pinned[index])
            device->is->host_release(device, pinned[index]);
    if (self->staged)
        device->is->event_destroy(device, self->staged);
    free(self->blank_images), free(self->blank_labels), free(self->blank_ids);
    dataset_close(self->data);
    *self = (feed){0};
}

int feed_read_state(feed *self, ls_error *error) {
    device *device = self->settings.device;
    LS_TRY(device->is->copy(device, self->settings.stream, self->host_state, self->state,
                            sizeof *self->state, COPY_DEVICE_TO_HOST, error));
    return device->is->stream_synchronize(device, self->settings.stream, error);
}

int feed_write_state(feed *self, ls_error *error) {
    device *device = self->settings.device;
    LS_TRY(to_device(self, self->state, self->host_state, STATES * sizeof *self->state, error));
    return device->is->stream_synchronize(device, self->settings.stream, error);
}

/* The sample indices of this rank's share, batch after batch. */
static int upload_order(feed *self, int epoch, ls_error *error) {
    const feed_settings *s = &self->settings;
    sampler order;
    int64_t count = 0;
    sampler_start(&order, self->data->facts.images, s->seed, epoch, s->training);
    for (int64_t batch = 0; batch < self->batches; batch++) {
        share mine = share_of(feed_batch_images(self, batch), s->rank, s->size);
        for (int64_t index = 0; index < mine.count; index++)
            self->host_order[count++] =
                s->one_batch ? index
                             : sampler_index(&order, batch * s->global_batch + mine.first + index);
    }
    return to_device(self, self->order, self->host_order, (size_t)count * sizeof(int64_t), error);
}

int feed_start_epoch(feed *self, int epoch, ls_error *error) {
    LS_TRY(feed_read_state(self, error)); /* the stream is idle: host_order is free too */
    self->host_state[0].epoch = self->host_state[1].epoch = epoch;
    self->host_state->cursor = 0;
    LS_TRY(feed_write_state(self, error));
    if (self->loader)
        return loader_start_epoch(self->loader, epoch, error);
    return self->order ? upload_order(self, epoch, error) : LS_OK;
}

static void describe_resident(const feed *self, int64_t index, mode_batch *out) {
    const feed_settings *s = &self->settings;
    out->images = self->images;
    out->labels = self->labels;
    out->order = self->order;
    out->first = index * share_of(s->global_batch, s->rank, s->size).count;
    out->loaded = (int)share_of(out->global_count, s->rank, s->size).count;
}

static void describe_blank(const feed *self, mode_batch *out) {
    const feed_settings *s = &self->settings;
    if (!self->blank_images)
        return;
    out->images = self->blank_images;
    out->labels = self->blank_labels;
    out->ids = self->blank_ids;
    out->loaded = (int)share_of(out->global_count, s->rank, s->size).count;
}

int feed_next(feed *self, int64_t index, mode_batch *out, ls_error *error) {
    *out = (mode_batch){.global_count = feed_batch_images(self, index),
                        .training = self->settings.training,
                        .state = self->state,
                        .origin = self->state + 1,
                        .place = (int)(index % NETWORK_MAX_INPUTS)};
    if (self->order)
        describe_resident(self, index, out);
    else if (self->settings.one_batch)
        describe_blank(self, out);
    if (!self->loader)
        return LS_OK;
    loader_batch loaded;
    if (self->staged)
        LS_TRY(self->settings.device->is->event_synchronize(self->settings.device, self->staged,
                                                            error));
    LS_TRY(loader_next(self->loader, &loaded, error));
    out->images = loaded.images;
    out->labels = loaded.labels;
    out->ids = loaded.indices;
    out->loaded = loaded.count;
    return LS_OK;
}

int feed_staged(feed *self, device_stream *stream, ls_error *error) {
    const feed_settings *s = &self->settings;
    return self->staged ? s->device->is->event_record(s->device, self->staged, stream, error)
                        : LS_OK;
}

void feed_blank(feed *self, int64_t global_count, mode_batch *out) {
    *out = (mode_batch){
        .global_count = global_count, .training = self->settings.training, .state = self->state};
    if (self->order)
        describe_resident(self, 0, out);
    else
        describe_blank(self, out);
}
