#include "input/loader.h"

#include "base/share.h"
#include "base/thread.h"
#include "input/sampler.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct slot {
    uint8_t *samples;
    int32_t *labels;
    int64_t *indices;
    int count;
} slot;

/* The ring: batch b of an epoch lies in slot b % slots. The thread fills batch `filled` while
 * filled - released < slots; the consumer holds batch `released`, where it holds one. An epoch has
 * a number of its own (`generation`), so that a batch of an epoch that was given up while it was
 * being gathered is recognised and dropped. All of it is guarded by `lock`; a slot's contents
 * belong to the thread until they are counted as filled. */
struct loader {
    const samples *data;
    device *device;
    loader_settings settings;
    slot *slots;
    void *memory; /* all slots' samples, labels and indices */

    pthread_t thread;
    int thread_started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int stop;
    int epoch;
    uint64_t generation;
    int64_t filled, released;
    int held; /* the consumer holds batch `released` */
    ls_error failure;
};

int64_t loader_batches(const loader *self) {
    int64_t batch = self->settings.global_batch;
    return (self->data->facts.samples + batch - 1) / batch;
}

static int gather(const loader *self, const sampler *order, int epoch, int64_t batch, slot *out,
                  ls_error *error) {
    const samples *data = self->data;
    int64_t first = batch * self->settings.global_batch;
    int64_t rest = self->data->facts.samples - first;
    int64_t all = rest < self->settings.global_batch ? rest : self->settings.global_batch;
    share mine = share_of(all, self->settings.rank, self->settings.size);
    out->count = (int)mine.count;
    for (int64_t index = 0; index < mine.count; index++)
        out->indices[index] = sampler_index(order, first + mine.first + index);
    for (int64_t index = 0; index < mine.count; index++)
        LS_TRY(data->is->fetch(data, epoch, out->indices[index],
                               out->samples + (size_t)index * data->facts.bytes,
                               &out->labels[index], error));
    return LS_OK;
}

static int has_room(const loader *self) {
    return self->generation > 0 && self->filled < loader_batches(self) &&
           self->filled - self->released < self->settings.slots;
}

/* Fills slots until it is told to stop. Enters and leaves with the lock held. */
static void read_ahead(loader *self) {
    sampler order;
    int epoch = 0;
    uint64_t started = 0;
    for (;;) {
        while (!self->stop && !has_room(self))
            pthread_cond_wait(&self->changed, &self->lock);
        if (self->stop)
            return;
        if (started != self->generation) {
            started = self->generation;
            epoch = self->epoch;
            sampler_start(&order, self->data->facts.samples, self->settings.seed, epoch,
                          self->settings.shuffled);
        }
        int64_t batch = self->filled;
        slot *target = &self->slots[batch % self->settings.slots];
        pthread_mutex_unlock(&self->lock);
        device_range_begin(self->device, "gather");
        ls_error failure = {0};
        int status = gather(self, &order, epoch, batch, target, &failure);
        device_range_end(self->device);
        pthread_mutex_lock(&self->lock);
        if (status != LS_OK) {
            self->failure = failure;
            pthread_cond_broadcast(&self->changed);
            return;
        }
        if (started == self->generation) {
            self->filled++;
            pthread_cond_broadcast(&self->changed);
        }
    }
}

static void *run(void *argument) {
    loader *self = argument;
    pthread_mutex_lock(&self->lock);
    read_ahead(self);
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

static int check(const loader_settings *settings, ls_error *error) {
    if (settings->global_batch < 1 || settings->slots < 2 || settings->size < 1 ||
        settings->rank < 0 || settings->rank >= settings->size)
        return ls_fail(error, LS_FAILED,
                       "loader: expected a batch of at least 1, 2 slots and a rank below the size, "
                       "found %lld, %d, rank %d of %d",
                       (long long)settings->global_batch, settings->slots, settings->rank,
                       settings->size);
    return LS_OK;
}

static size_t round_up(size_t bytes) {
    return (bytes + 255) & ~(size_t)255;
}

/* One allocation, so that a device pins one range. A ragged batch's share can exceed the floor of
 * the full batch's, so the room is its ceiling. */
static int make_slots(loader *self, ls_error *error) {
    int64_t largest = self->settings.global_batch < self->data->facts.samples
                          ? self->settings.global_batch
                          : self->data->facts.samples;
    int64_t count = (largest + self->settings.size - 1) / self->settings.size;
    size_t bytes = round_up((size_t)count * self->data->facts.bytes);
    size_t labels = round_up((size_t)count * sizeof(int32_t));
    size_t indices = round_up((size_t)count * sizeof(int64_t));
    size_t stride = bytes + labels + indices;
    self->slots = calloc((size_t)self->settings.slots, sizeof *self->slots);
    if (!self->slots)
        return ls_fail(error, LS_FAILED, "loader: out of memory");
    LS_TRY(self->device->is->host_allocate(self->device, stride * (size_t)self->settings.slots,
                                           &self->memory, error));
    for (int index = 0; index < self->settings.slots; index++) {
        uint8_t *start = (uint8_t *)self->memory + stride * (size_t)index;
        self->slots[index] = (slot){.samples = start,
                                    .labels = (int32_t *)(start + bytes),
                                    .indices = (int64_t *)(start + bytes + labels)};
    }
    return LS_OK;
}

/* Not where its creator runs: that is bound to one core of its own. */
static int start_thread(loader *self, ls_error *error) {
    LS_TRY(thread_start(&self->thread, "loader", self->settings.processing_units,
                        self->settings.processing_unit_count, run, self, error));
    self->thread_started = 1;
    return LS_OK;
}

int loader_create(const samples *data, device *device, const loader_settings *settings,
                  loader **out, ls_error *error) {
    *out = NULL;
    LS_TRY(check(settings, error));
    loader *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "loader: out of memory");
    self->data = data;
    self->device = device;
    self->settings = *settings;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, NULL);
    int status = make_slots(self, error);
    if (status == LS_OK)
        status = start_thread(self, error);
    if (status == LS_OK)
        *out = self;
    else
        loader_close(self);
    return status;
}

int loader_start_epoch(loader *self, int epoch, int64_t first, ls_error *error) {
    pthread_mutex_lock(&self->lock);
    int status = self->failure.code;
    if (status != LS_OK)
        ls_fail(error, status, "%s", self->failure.text);
    self->epoch = epoch;
    self->generation++;
    self->filled = self->released = first;
    self->held = 0;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
    return status;
}

static void deliver(loader *self, loader_batch *out) {
    const slot *ready = &self->slots[self->released % self->settings.slots];
    *out = (loader_batch){.samples = ready->samples,
                          .labels = ready->labels,
                          .indices = ready->indices,
                          .count = ready->count};
    self->held = 1;
}

int loader_next(loader *self, loader_batch *out, ls_error *error) {
    pthread_mutex_lock(&self->lock);
    if (self->held) {
        self->held = 0;
        self->released++;
        pthread_cond_broadcast(&self->changed);
    }
    int status = LS_OK;
    if (self->generation == 0 || self->released == loader_batches(self))
        status = ls_fail(error, LS_FAILED, "loader: asked for a batch outside an epoch");
    while (status == LS_OK && self->failure.code == LS_OK && self->filled == self->released)
        pthread_cond_wait(&self->changed, &self->lock);
    if (self->failure.code != LS_OK)
        status = ls_fail(error, self->failure.code, "%s", self->failure.text);
    if (status == LS_OK)
        deliver(self, out);
    pthread_mutex_unlock(&self->lock);
    return status;
}

void loader_close(loader *self) {
    if (!self)
        return;
    if (self->thread_started) {
        pthread_mutex_lock(&self->lock);
        self->stop = 1;
        pthread_cond_broadcast(&self->changed);
        pthread_mutex_unlock(&self->lock);
        pthread_join(self->thread, NULL);
    }
    if (self->memory)
        self->device->is->host_release(self->device, self->memory);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    free(self->slots);
    free(self);
}
