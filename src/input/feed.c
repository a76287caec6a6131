#include "input/feed.h"
#include "base/share.h"
#include "input/sampler.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 4, STATES = 2 };

int feed_find(feed *self, const char *folder, const char *split, const sample_choices *choices,
              bool training, int64_t global_batch, ls_error *error) {
    LS_TRY(samples_open(folder, split, choices, training, &self->data, error));
    feed_set_batch(self, global_batch);
    return LS_OK;
}

void feed_set_batch(feed *self, int64_t global_batch) {
    int64_t count = self->data->facts.samples;
    self->settings.global_batch = global_batch;
    self->batches = (count + global_batch - 1) / global_batch;
    self->last = count - (self->batches - 1) * global_batch;
}

static size_t sample_bytes(const feed *self) {
    return self->data->facts.bytes;
}

/* This rank's samples of an epoch's first `batches` batches. */
static int64_t share_before(const feed *self, int64_t batches) {
    const feed_settings *s = &self->settings;
    bool all = batches == self->batches;
    if (s->size == 0)
        return 0;
    return (batches - all) * share_of(s->global_batch, s->rank, s->size).count +
           (all ? share_of(self->last, s->rank, s->size).count : 0);
}

/* At most half of what is free: activations, and what the libraries take later, come out of it. */
static int choose_place(const feed *self, bool *resident, ls_error *error) {
    const feed_settings *s = &self->settings;
    const char *place = s->place;
    *resident = false;
    if (!self->data->is->whole && strcmp(place, "device") == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--data-place device: %s samples are made anew in each epoch (leave it out, "
                       "or give auto)",
                       self->data->is->name);
    if (!self->data->is->whole)
        return LS_OK;
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
    size_t needed = (size_t)self->data->facts.samples * (sample_bytes(self) + sizeof(int32_t));
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

/* `count` of them, at `from`. */
static int place_on_device(feed *self, size_t count, const void *from, const int32_t *labels,
                           ls_error *error) {
    device *device = self->settings.device;
    size_t order = (size_t)share_before(self, self->batches) * sizeof(int64_t);
    LS_TRY(device->is->allocate(device, count * sample_bytes(self), "the data set's samples",
                                (void **)&self->resident, error));
    LS_TRY(device->is->allocate(device, count * sizeof(int32_t), "the data set's labels",
                                (void **)&self->labels, error));
    LS_TRY(device->is->allocate(device, order, "the order of the samples", (void **)&self->order,
                                error));
    LS_TRY(to_device(self, self->resident, from, count * sample_bytes(self), error));
    LS_TRY(to_device(self, self->labels, labels, count * sizeof(int32_t), error));
    return device->is->stream_synchronize(device, self->settings.stream, error);
}

static bool is_mixed(const feed *self) {
    return self->settings.training && mixing_is_on(&self->settings.mixing);
}

static int allocate_blank(feed *self, ls_error *error) {
    size_t most = (size_t)self->maker.most + BATCH_BESIDE;
    self->blank_samples = calloc(most, sample_bytes(self));
    self->blank_labels = calloc(most, sizeof *self->blank_labels);
    self->blank_ids = calloc(most, sizeof *self->blank_ids);
    if (!self->blank_samples || !self->blank_labels || !self->blank_ids)
        return ls_fail(error, LS_FAILED, "out of memory");
    return LS_OK;
}

/* This rank's share of an epoch's first batch. */
static share first_share(const feed *self) {
    return share_of(feed_batch_samples(self, 0), self->settings.rank, self->settings.size);
}

/* The sample at `position` of an order, to place `index` of that batch. */
static int hold_sample(feed *self, const sampler *order, int64_t position, int64_t index,
                       ls_error *error) {
    const samples *data = self->data;
    self->blank_ids[index] = sampler_index(order, position);
    return data->is->fetch(data, 1, self->blank_ids[index],
                           self->blank_samples + (size_t)index * data->facts.bytes,
                           &self->blank_labels[index], error);
}

static int hold_first_batch(feed *self, ls_error *error) {
    const feed_settings *s = &self->settings;
    share mine = first_share(self);
    int64_t end = mine.first + mine.count, all = feed_batch_samples(self, 0);
    sampler order;
    LS_TRY(allocate_blank(self, error));
    samples_order(self->data, s->seed, 1, s->training, &order);
    for (int64_t index = 0; index < mine.count; index++)
        LS_TRY(hold_sample(self, &order, mine.first + index, index, error));
    if (is_mixed(self) && mixes_with_before(mine.first))
        LS_TRY(hold_sample(self, &order, mine.first - 1, mine.count, error));
    if (is_mixed(self) && mixes_with_after(mine.first, mine.count, all))
        LS_TRY(hold_sample(self, &order, end, mine.count + 1, error));
    if (s->device->facts.host_addressable)
        return LS_OK;
    return place_on_device(self, (size_t)mine.count, self->blank_samples, self->blank_labels,
                           error);
}

/* Threads that fetch: where a fetch takes long and none was chosen, a processor each, on a device
 * with memory of its own but for one, which is left to the thread that launches. From there on they
 * are searched, up to all of them. */
static void choose_threads(const feed *self, loader_settings *out) {
    const feed_settings *s = &self->settings;
    int units = s->processing_unit_count > 1 ? s->processing_unit_count : 1;
    out->threads = s->loader_threads;
    if (!self->data->is->slow)
        out->threads = 1;
    if (out->threads > 0)
        return;
    out->threads = !s->device->facts.host_addressable && units > 1 ? units - 1 : units;
    out->most_threads = units;
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
                                .processing_unit_count = s->processing_unit_count,
                                .partners = is_mixed(self)};
    choose_threads(self, &settings);
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

static int keep_resident(feed *self, ls_error *error) {
    const int32_t *labels;
    const void *whole = self->data->is->whole(self->data, &labels);
    return place_on_device(self, (size_t)self->data->facts.samples, whole, labels, error);
}

static int open_maker(feed *self, ls_error *error) {
    const feed_settings *s = &self->settings;
    int64_t most = (s->global_batch + s->size - 1) / s->size;
    LS_TRY(batch_maker_open(&self->maker, s->device, self->data, most, error));
    return is_mixed(self) ? batch_maker_mix(&self->maker, &s->mixing, error) : LS_OK;
}

feed_bytes feed_ahead_bytes(size_t sample_bytes, size_t most, bool host) {
    enum { BLANK = 1 };
    size_t fetched = most * (sample_bytes + sizeof(int32_t) + sizeof(int64_t));
    size_t staged = host ? 0 : fetched + most * BATCH_PLACES * sizeof(int32_t);
    return (feed_bytes){.host = (SLOTS + BLANK) * fetched, .device = staged};
}

/* On the device, whole. */
static size_t resident_bytes(const feed *self) {
    size_t samples = (size_t)self->data->facts.samples;
    return samples * (sample_bytes(self) + sizeof(int32_t)) +
           (size_t)share_before(self, self->batches) * sizeof(int64_t);
}

int feed_plan_memory(const feed *self, const feed_settings *settings, feed_bytes *out,
                     ls_error *error) {
    feed planned = *self;
    bool resident = false;
    *out = (feed_bytes){0};
    planned.settings = *settings;
    if (settings->size == 0)
        return LS_OK;
    LS_TRY(choose_place(&planned, &resident, error));
    int64_t largest = settings->global_batch < self->data->facts.samples
                          ? settings->global_batch
                          : self->data->facts.samples;
    size_t most = (size_t)((largest + settings->size - 1) / settings->size);
    most += is_mixed(&planned) ? BATCH_BESIDE : 0;
    *out = feed_ahead_bytes(sample_bytes(self), most, settings->device->facts.host_addressable);
    if (resident)
        *out = (feed_bytes){.device = out->device + resident_bytes(&planned)};
    out->host += self->data->is->load_bytes(self->data);
    return LS_OK;
}

int feed_open(feed *self, const feed_settings *settings, ls_error *error) {
    bool resident;
    self->settings = *settings;
    LS_TRY(open_state(self, error));
    if (settings->size == 0)
        return LS_OK;
    LS_TRY(open_maker(self, error));
    LS_TRY(self->data->is->load(self->data, error));
    LS_TRY(choose_place(self, &resident, error));
    if (settings->one_batch)
        LS_TRY(hold_first_batch(self, error));
    else if (resident)
        LS_TRY(keep_resident(self, error));
    else
        LS_TRY(open_loader(self, error));
    self->settings.processing_units = NULL;
    return LS_OK;
}

int feed_open_blank(feed *self, const feed_settings *settings, ls_error *error) {
    self->settings = *settings;
    self->settings.processing_units = NULL;
    LS_TRY(open_state(self, error));
    if (settings->size == 0)
        return LS_OK;
    LS_TRY(open_maker(self, error));
    return allocate_blank(self, error);
}

/* All but the samples. */
static void release(feed *self) {
    device *device = self->settings.device;
    loader_close(self->loader);
    void *on_device[] = {self->resident, self->labels, self->order, self->state};
    for (size_t index = 0; index < sizeof on_device / sizeof on_device[0]; index++)
        if (on_device[index])
            device->is->release(device, on_device[index]);
    if (self->host_state)
        device->is->host_release(device, self->host_state);
    if (self->staged)
        device->is->event_destroy(device, self->staged);
    batch_maker_close(&self->maker);
    free(self->blank_samples), free(self->blank_labels), free(self->blank_ids);
}

void feed_close(feed *self) {
    release(self);
    samples_close(self->data);
    *self = (feed){0};
}

void feed_close_blank(feed *self) {
    release(self);
    *self = (feed){.settings = {.global_batch = self->settings.global_batch},
                   .data = self->data,
                   .batches = self->batches,
                   .last = self->last};
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
    self->reached = self->host_state[1].cursor;
    return device->is->stream_synchronize(device, self->settings.stream, error);
}

static epoch_part own_part(const feed *self, int64_t global_count) {
    share part = share_of(global_count, self->settings.rank, self->settings.size);
    return (epoch_part){part.first, part.count};
}

/* From where an epoch's start left it. */
static int skip_to(feed *self, int epoch, int64_t first, ls_error *error) {
    LS_TRY(feed_read_state(self, error));
    self->host_state[0].cursor = self->host_state[1].cursor = share_before(self, first);
    self->host_state[1].epoch = epoch;
    return feed_write_state(self, error);
}

int feed_start_epoch(feed *self, int epoch, int64_t first, ls_error *error) {
    const feed_settings *s = &self->settings;
    sampler order;
    epoch_arguments arguments = {.epoch = epoch, .states = self->state, .state_count = STATES};
    if (self->order) {
        sampler_start(&order, self->data->facts.samples, s->seed, epoch, s->training);
        arguments.order = self->order;
        arguments.shuffled = order.shuffled;
        arguments.shuffle = order.order;
        arguments.same = s->one_batch;
        arguments.batches = self->batches;
        arguments.batch = s->global_batch;
        arguments.part = own_part(self, s->global_batch);
        arguments.last_part = own_part(self, self->last);
    }
    LS_TRY(s->device->is->ops->begin_epoch(s->device, s->stream, &arguments, error));
    self->reached = 0;
    if (first > 0)
        LS_TRY(skip_to(self, epoch, first, error));
    return self->loader ? loader_start_epoch(self->loader, epoch, first, error) : LS_OK;
}

/* Samples of this rank in a full batch. */
static int64_t full_part(const feed *self) {
    const feed_settings *s = &self->settings;
    return share_of(s->global_batch, s->rank, s->size).count;
}

static void describe_resident(const feed *self, int64_t index, input_batch *out) {
    const feed_settings *s = &self->settings;
    out->from.samples = self->resident;
    out->from.labels = self->labels;
    out->from.order = self->order;
    out->first = index * full_part(self);
    out->loaded = (int)share_of(out->global_count, s->rank, s->size).count;
}

static void describe_blank(const feed *self, input_batch *out) {
    const feed_settings *s = &self->settings;
    if (!self->blank_samples)
        return;
    out->from.samples = self->blank_samples;
    out->from.labels = self->blank_labels;
    out->from.ids = self->blank_ids;
    out->loaded = (int)share_of(out->global_count, s->rank, s->size).count;
}

static input_batch begin_batch(const feed *self, int64_t global_count) {
    const feed_settings *s = &self->settings;
    int64_t position = s->size == 0 ? 0 : share_of(global_count, s->rank, s->size).first;
    return (input_batch){.global_count = global_count,
                         .training = self->settings.training,
                         .state = self->state,
                         .maker = &self->maker,
                         .position = position,
                         .from = {.state = self->state}};
}

int feed_next(feed *self, int64_t index, input_batch *out, ls_error *error) {
    *out = begin_batch(self, feed_batch_samples(self, index));
    out->place = (int)(index % BATCH_PLACES);
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
    out->from.samples = loaded.samples;
    out->from.labels = loaded.labels;
    out->from.ids = loaded.indices;
    out->loaded = loaded.count;
    return LS_OK;
}

int feed_staged(feed *self, device_stream *stream, ls_error *error) {
    const feed_settings *s = &self->settings;
    return self->staged ? s->device->is->event_record(s->device, self->staged, stream, error)
                        : LS_OK;
}

input_batch feed_ahead(const feed *self, const input_batch *next) {
    input_batch made = *next;
    made.from.state = self->state + 1;
    if (made.from.order)
        made.from.order += next->first - self->reached;
    return made;
}

void feed_recorded(const feed *self, int64_t number, input_batch *out) {
    *out = begin_batch(self, self->settings.global_batch);
    out->place = (int)(number % BATCH_PLACES);
    describe_resident(self, 0, out);
    out->first = self->reached + number * full_part(self);
}

static int move_reached(feed *self, device_stream *stream, int64_t by, ls_error *error) {
    device *device = self->settings.device;
    return by ? device->is->ops->advance(device, stream, self->state + 1, by, false, false, error)
              : LS_OK;
}

int feed_reach(feed *self, device_stream *stream, int64_t to, ls_error *error) {
    LS_TRY(move_reached(self, stream, to - self->reached, error));
    self->reached = to;
    return LS_OK;
}

int feed_record_reach(feed *self, device_stream *stream, int64_t batches, ls_error *error) {
    return move_reached(self, stream, batches * full_part(self), error);
}

void feed_replayed(feed *self, int64_t batches) {
    self->reached += batches * full_part(self);
}

void feed_blank(feed *self, int64_t global_count, input_batch *out) {
    *out = begin_batch(self, global_count);
    if (self->order)
        describe_resident(self, 0, out);
    else
        describe_blank(self, out);
}
