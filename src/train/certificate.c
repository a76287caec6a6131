#include "train/certificate.h"

#include "input/sampler.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- memory */

static int take(void **out, size_t count, size_t bytes, ls_error *error) {
    *out = calloc(count ? count : 1, bytes);
    return *out ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
}

/* This rank's positions of a batch; none where it reads nothing. */
static share own_share(const step_certificate *self, int64_t index) {
    const feed *feed = self->settings.feed;
    if (feed->settings.size == 0)
        return (share){0, 0};
    return share_of(feed_batch_samples(feed, index), feed->settings.rank, feed->settings.size);
}

static int allocate_log(step_certificate *self, ls_error *error) {
    size_t batches = (size_t)self->batches;
    for (int64_t index = 0; index < self->batches; index++)
        self->share += own_share(self, index).count;
    LS_TRY(take((void **)&self->samples, batches, sizeof *self->samples, error));
    LS_TRY(take((void **)&self->halves, 2 * batches, sizeof *self->halves, error));
    LS_TRY(take((void **)&self->taken, self->most_prints, sizeof *self->taken, error));
    size_t hashes = 1 + self->most_prints * self->kind_count;
    LS_TRY(take((void **)&self->hashes, hashes, sizeof *self->hashes, error));
    LS_TRY(take((void **)&self->all_hashes, (size_t)self->settings.size * hashes,
                sizeof *self->all_hashes, error));
    if (!self->settings.feed->order)
        return LS_OK;
    LS_TRY(take((void **)&self->places, batches, sizeof *self->places, error));
    return take((void **)&self->order, (size_t)self->share, sizeof *self->order, error);
}

static const store_kind others[CERTIFIED_OTHERS] = {
    [CERTIFIED_AVERAGE] = STORE_AVERAGE, [CERTIFIED_BUFFERS] = STORE_BUFFERS};

static void choose_kinds(step_certificate *self) {
    self->kinds[self->kind_count++] = STORE_PARAMETERS;
    for (int other = 0; self->settings.logs && other < CERTIFIED_OTHERS; other++) {
        self->log.has[other] = store_length(self->settings.store, others[other]) > 0;
        if (self->log.has[other])
            self->kinds[self->kind_count++] = others[other];
    }
}

int step_certificate_open(step_certificate *self, const certificate_settings *settings,
                          ls_error *error) {
    uint64_t hash;
    device *device = settings->device;
    *self = (step_certificate){.settings = *settings, .batches = settings->feed->batches};
    self->most_prints = 1;
    if (settings->logs && settings->every > 0)
        self->most_prints += (size_t)(self->batches / settings->every + 1);
    choose_kinds(self);
    size_t prints = self->most_prints * self->kind_count;
    LS_TRY(device->is->allocate(device, prints * sizeof *self->prints,
                                "the hashes of the parameters", (void **)&self->prints, error));
    LS_TRY(take((void **)&self->host_prints, prints, sizeof *self->host_prints, error));
    LS_TRY(step_certificate_parameters(self, &hash, error)); /* a kernel's first use is slow */
    return settings->logs ? allocate_log(self, error) : LS_OK;
}

void step_certificate_close(step_certificate *self) {
    void *memory[] = {self->samples,     self->halves, self->order,  self->places,
                      self->host_prints, self->taken,  self->hashes, self->all_hashes};
    for (size_t index = 0; index < sizeof memory / sizeof memory[0]; index++)
        free(memory[index]);
    if (self->prints)
        self->settings.device->is->release(self->settings.device, self->prints);
    certificate_free(&self->log);
    *self = (step_certificate){0};
}

/* --- in the hot loop */

/* Of ids[count] at the positions from `first` on. */
static uint64_t hash_ids(const int64_t *ids, int64_t first, int64_t count) {
    uint64_t sum = 0;
    for (int64_t k = 0; k < count; k++)
        sum += fingerprint_term((uint64_t)(first + k), (uint64_t)ids[k]);
    return sum;
}

void step_certificate_batch(step_certificate *self, int64_t index, const input_batch *batch) {
    if (self->places)
        self->places[index] = (share){batch->first, batch->loaded};
    else if (self->samples && batch->from.ids)
        self->samples[index] =
            hash_ids(batch->from.ids, own_share(self, index).first, batch->loaded);
}

/* Of the first `kinds` of all kinds where the stream is now, to `slot`. */
static int take_prints(step_certificate *self, size_t slot, size_t kinds, ls_error *error) {
    const certificate_settings *s = &self->settings;
    for (size_t kind = 0; kind < kinds; kind++)
        LS_TRY(store_fingerprint(s->store, s->stream, self->kinds[kind],
                                 &self->prints[slot * self->kind_count + kind], error));
    return LS_OK;
}

/* An epoch's last step has its hash taken outside the training time. */
int step_certificate_step(step_certificate *self, int64_t index, int64_t step, ls_error *error) {
    int64_t every = self->settings.every;
    if (!self->samples || every == 0 || step % every != 0 || index == self->batches - 1)
        return LS_OK;
    self->taken[self->print_count].step = step;
    if (!store_updates(self->settings.store)) {
        self->print_count++;
        return LS_OK;
    }
    return take_prints(self, self->print_count++, self->kind_count, error);
}

int64_t step_certificate_steps(const step_certificate *self, int64_t step) {
    int64_t every = self->settings.every;
    return self->samples && every > 0 ? every - step % every : INT64_MAX;
}

/* --- the epoch's end: what this rank was fed */

static int64_t share_before(const step_certificate *self, int64_t batches) {
    int64_t sum = 0;
    for (int64_t index = 0; index < batches; index++)
        sum += own_share(self, index).count;
    return sum;
}

/* Of the batches [settled, end) of the epoch's order. */
static int read_order(step_certificate *self, int64_t end, ls_error *error) {
    const certificate_settings *s = &self->settings;
    int64_t expected = share_before(self, end);
    if (s->feed->host_state->cursor != expected)
        return ls_fail(error, LS_FAILED,
                       "rank %d's steps have taken %" PRId64 " images of the epoch's order, which "
                       "has %" PRId64 ": the result is void",
                       s->rank, s->feed->host_state->cursor, expected);
    LS_TRY(s->device->is->copy(s->device, s->stream, self->order, s->feed->order,
                               (size_t)self->share * sizeof *self->order, COPY_DEVICE_TO_HOST,
                               error));
    LS_TRY(s->device->is->stream_synchronize(s->device, s->stream, error));
    for (int64_t index = self->settled; index < end; index++) {
        share place = self->places[index];
        if (place.first < 0 || place.first + place.count > self->share)
            return ls_fail(error, LS_FAILED, "rank %d's batch %" PRId64 " lies beyond its order",
                           s->rank, index + 1);
        self->samples[index] =
            hash_ids(self->order + place.first, own_share(self, index).first, place.count);
    }
    return LS_OK;
}

/* Of the batches [settled, end), against what the sampler says of this rank's part. */
static int check_samples(const step_certificate *self, int epoch, int64_t end, ls_error *error) {
    const feed *feed = self->settings.feed;
    sampler order;
    samples_order(feed->data, feed->settings.seed, epoch, feed->settings.training, &order);
    for (int64_t index = self->settled; index < end; index++) {
        share mine = own_share(self, index);
        int64_t first = index * feed->settings.global_batch;
        uint64_t sum = 0;
        for (int64_t at = mine.first; at < mine.first + mine.count; at++)
            sum += fingerprint_term((uint64_t)at, (uint64_t)sampler_index(&order, first + at));
        if (sum != self->samples[index])
            return ls_fail(error, LS_FAILED,
                           "rank %d was fed other samples in step %" PRId64 " of epoch %d than the "
                           "seed's order has there: the result is void (the loader, or this "
                           "node's memory, is at fault)",
                           self->settings.rank, index + 1, epoch);
    }
    return LS_OK;
}

/* Of an epoch's first `count` batches, into out[count]; in halves, since a sum of these cannot
 * overflow. */
static int sum_samples(step_certificate *self, int64_t count, uint64_t *out, ls_error *error) {
    for (int64_t index = 0; index < count; index++) {
        self->halves[2 * index] = (int64_t)(self->samples[index] & 0xFFFFFFFFu);
        self->halves[2 * index + 1] = (int64_t)(self->samples[index] >> 32);
    }
    LS_TRY(comm_allreduce_int64(self->settings.control, self->halves, 2 * (size_t)count,
                                REDUCTION_SUM, error));
    for (int64_t index = 0; index < count; index++)
        out[index] =
            (uint64_t)self->halves[2 * index] + ((uint64_t)self->halves[2 * index + 1] << 32);
    return LS_OK;
}

int step_certificate_fed(step_certificate *self, int epoch, int64_t count, uint64_t *out,
                         ls_error *error) {
    if (self->order)
        LS_TRY(read_order(self, count, error));
    LS_TRY(check_samples(self, epoch, count, error));
    return sum_samples(self, count, out, error);
}

/* --- the epoch's end: what its parameters were */

/* A kind of which each rank holds a part: its prints are the parts'. */
bool step_certificate_is_shared(const step_certificate *self, size_t kind) {
    store_kind which = self->kinds[kind];
    return which != STORE_BUFFERS && !store_is_whole(self->settings.store, which);
}

static void add_print(fingerprint *sum, const fingerprint *more) {
    sum->hash += more->hash;
    for (int word = 0; word < FINGERPRINT_BUCKETS; word++)
        sum->sketch[word] += more->sketch[word];
}

/* The rank holds a part of the copy that this one has a part of. */
static bool has_same_copy(const certificate_settings *s, size_t rank) {
    return !s->copies || s->copies[rank] == s->copies[s->rank];
}

/* Of shared kinds all parts of this rank's copy, added up. */
static int add_parts(step_certificate *self, size_t count, ls_error *error) {
    const certificate_settings *s = &self->settings;
    size_t size = (size_t)s->size, bytes = count * sizeof(fingerprint);
    bool any = false;
    for (size_t kind = 0; kind < self->kind_count; kind++)
        any |= step_certificate_is_shared(self, kind);
    if (!any || count == 0)
        return LS_OK;
    fingerprint *all = malloc(size * bytes);
    if (!all)
        return ls_fail(error, LS_FAILED, "out of memory");
    int status = comm_allgather_bytes(s->control, self->host_prints, all, bytes, error);
    for (size_t number = 0; status == LS_OK && number < count; number++) {
        if (!step_certificate_is_shared(self, number % self->kind_count))
            continue;
        self->host_prints[number] = (fingerprint){0};
        for (size_t rank = 0; rank < size; rank++)
            if (has_same_copy(s, rank))
                add_print(&self->host_prints[number], &all[rank * count + number]);
    }
    free(all);
    return status;
}

static int read_prints(step_certificate *self, size_t count, ls_error *error) {
    const certificate_settings *s = &self->settings;
    LS_TRY(s->device->is->copy(s->device, s->stream, self->host_prints, self->prints,
                               count * sizeof *self->prints, COPY_DEVICE_TO_HOST, error));
    LS_TRY(s->device->is->stream_synchronize(s->device, s->stream, error));
    return add_parts(self, count, error);
}

int step_certificate_parameters(step_certificate *self, uint64_t *hash, ls_error *error) {
    LS_TRY(take_prints(self, 0, 1, error));
    LS_TRY(read_prints(self, 1, error));
    *hash = self->host_prints[0].hash;
    return LS_OK;
}

/* Print `number` of `count`, of all ranks. */
static int compare_print(const step_certificate *self, size_t number, size_t count,
                         ls_error *error) {
    store_kind kind = self->kinds[(number - 1) % self->kind_count];
    int64_t step = self->taken[(number - 1) / self->kind_count].step;
    for (int rank = 1; kind != STORE_BUFFERS && rank < self->settings.size; rank++) {
        const uint64_t *theirs = self->all_hashes + (size_t)rank * count;
        if (theirs[0] && theirs[number] != self->all_hashes[number])
            return ls_fail(
                error, LS_FAILED,
                "rank %d has %s than rank 0 after step %" PRId64 ": the result is void", rank,
                kind == STORE_AVERAGE ? "another moving average" : "other parameters", step);
    }
    return LS_OK;
}

/* The ranks that update copies of their own must hold the same bits. */
static int compare_ranks(step_certificate *self, ls_error *error) {
    const certificate_settings *s = &self->settings;
    size_t count = 1 + self->print_count * self->kind_count;
    self->hashes[0] = store_updates(s->store);
    for (size_t number = 1; number < count; number++)
        self->hashes[number] = self->host_prints[number - 1].hash;
    LS_TRY(comm_allgather_bytes(s->control, self->hashes, self->all_hashes,
                                count * sizeof *self->hashes, error));
    for (size_t number = 1; number < count; number++)
        LS_TRY(compare_print(self, number, count, error));
    return LS_OK;
}

int step_certificate_take(step_certificate *self, ls_error *error) {
    LS_TRY(read_prints(self, self->print_count * self->kind_count, error));
    for (size_t print = 0; print < self->print_count; print++) {
        const fingerprint *of = self->host_prints + print * self->kind_count;
        certified_parameters *to = &self->taken[print];
        to->print = *of++;
        for (int other = 0; other < CERTIFIED_OTHERS; other++)
            if (self->log.has[other])
                to->others[other] = (of++)->hash;
    }
    return LS_OK;
}

static int log_epoch(step_certificate *self, int epoch, ls_error *error) {
    if (self->settings.rank != 0)
        return LS_OK;
    return certificate_add_epoch(&self->log, epoch, self->samples, self->batches, self->taken,
                                 self->print_count, error);
}

int step_certificate_epoch(step_certificate *self, int epoch, int64_t step, ls_error *error) {
    if (!self->samples)
        return LS_OK;
    LS_TRY(step_certificate_fed(self, epoch, self->batches, self->samples, error));
    self->taken[self->print_count].step = step;
    LS_TRY(take_prints(self, self->print_count++, self->kind_count, error));
    LS_TRY(step_certificate_take(self, error));
    LS_TRY(compare_ranks(self, error));
    LS_TRY(log_epoch(self, epoch, error));
    memset(self->samples, 0, (size_t)self->batches * sizeof *self->samples);
    self->print_count = 0;
    self->settled = 0;
    return LS_OK;
}

int step_certificate_finish(step_certificate *self, char hash[17], ls_error *error) {
    hash[0] = '\0';
    if (!self->samples || self->settings.rank != 0)
        return LS_OK;
    return certificate_write(&self->log, self->settings.folder, hash, error);
}
