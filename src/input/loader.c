#include "input/loader.h"

#include "base/clock.h"
#include "base/share.h"
#include "base/thread.h"
#include "device/mixing.h"
#include "input/sampler.h"
#include "input/thread_search.h"

#include <pthread.h>
#include <stdlib.h>

/* Of a window that thread_search judges: enough to tell a few percent, and more than a tick. */
enum { LEAST_BATCHES = 16 };
static const double LEAST_SECONDS = 0.2;

typedef struct slot {
    uint8_t *samples;
    int32_t *labels;
    int64_t *indices;
    int count;
    int fetched; /* of them */
    /* Of partners[i]: -1: none, else the position in the order; lies at `count` + i. */
    int64_t partners[LOADER_PARTNERS];
} slot;

/* The ring: batch b of an epoch lies in slot b % slots. Threads take pieces of batch `begun`, from
 * sample `next` on, while begun - released < slots; batches before `filled` have all their samples;
 * the consumer holds batch `released`, where it holds one. All of it is guarded by `lock`; a piece
 * belongs to its thread until it is counted as fetched. */
struct loader {
    const samples *data;
    device *device;
    loader_settings settings;
    slot *slots;
    void *memory; /* all slots' samples, labels and indices */

    pthread_t *threads;
    int threads_started;
    int threads_numbered; /* those that run have a number each, 0, 1, ... */
    thread_search search; /* search.threads of them fetch, the first ones */
    thread_window window; /* what it is to judge next */
    int unjudged;         /* batches of the ring that another number of threads may have fetched */
    double delivered;     /* clock of the batch before; of the epoch's first on: 0 before it */
    double busy_before;   /* work.busy_seconds then */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int stop;
    sampler order; /* of the epoch */
    int epoch;     /* 0: none yet */
    int paused;    /* no new pieces: an epoch is given up */
    int busy;      /* pieces that are being fetched */
    int64_t begun, filled, released;
    int next;
    int held; /* the consumer holds batch `released` */
    loader_work work;
    ls_error failure;
};

/* What a thread fetches at a time. */
typedef struct piece {
    slot *of;
    int first, count;
    int64_t
        position; /* in the epoch's order, of the batch's first sample; -1: not its first piece */
} piece;

int64_t loader_batches(const loader *self) {
    int64_t batch = self->settings.global_batch;
    return (self->data->facts.samples + batch - 1) / batch;
}

/* This rank's part of a batch, as positions in the epoch's order. */
static share part_of(const loader *self, int64_t batch) {
    int64_t first = batch * self->settings.global_batch;
    int64_t rest = self->data->facts.samples - first;
    int64_t all = rest < self->settings.global_batch ? rest : self->settings.global_batch;
    share mine = share_of(all, self->settings.rank, self->settings.size);
    mine.first += first;
    return mine;
}

/* For thread `number`. */
static int has_work(const loader *self, int number) {
    return number < self->search.threads && self->epoch > 0 && !self->paused &&
           self->begun < loader_batches(self) &&
           self->begun - self->released < self->settings.slots;
}

/* Batches that have all their samples come out, in order. */
static void count_filled(loader *self) {
    while (self->filled < self->begun) {
        const slot *ready = &self->slots[self->filled % self->settings.slots];
        if (ready->fetched < ready->count)
            break;
        self->filled++;
    }
    pthread_cond_broadcast(&self->changed);
}

/* The samples beside this rank's part of a batch that its first and its last are mixed with. */
static void find_partners(const loader *self, share mine, slot *of) {
    int64_t begins = self->begun * self->settings.global_batch;
    int64_t rest = self->data->facts.samples - begins;
    int64_t all = rest < self->settings.global_batch ? rest : self->settings.global_batch;
    int64_t first = mine.first - begins;
    bool wanted = self->settings.partners && mine.count > 0;
    of->partners[0] = wanted && mixes_with_before(first) ? mine.first - 1 : -1;
    of->partners[1] =
        wanted && mixes_with_after(first, mine.count, all) ? mine.first + mine.count : -1;
}

/* The next piece: one sample where these are slow, else all of a batch, which may be none. */
static piece take_piece(loader *self) {
    slot *of = &self->slots[self->begun % self->settings.slots];
    piece out = {.of = of, .first = self->next, .position = -1};
    if (self->next == 0) {
        share mine = part_of(self, self->begun);
        of->count = (int)mine.count;
        of->fetched = 0;
        for (int64_t index = 0; index < mine.count; index++)
            of->indices[index] = sampler_index(&self->order, mine.first + index);
        find_partners(self, mine, of);
        out.position = mine.first;
    }
    out.count = self->data->is->slow && of->count > 0 ? 1 : of->count;
    self->next += out.count;
    if (self->next == of->count) {
        self->begun++;
        self->next = 0;
    }
    return out;
}

/* Behind the others. */
static int fetch_partners(const loader *self, slot *of, const sampler *order, int epoch,
                          ls_error *error) {
    const samples *data = self->data;
    for (int i = 0; i < LOADER_PARTNERS; i++) {
        int at = of->count + i;
        if (of->partners[i] < 0)
            continue;
        of->indices[at] = sampler_index(order, of->partners[i]);
        LS_TRY(data->is->fetch(data, epoch, of->indices[at],
                               of->samples + (size_t)at * data->facts.bytes, &of->labels[at],
                               error));
    }
    return LS_OK;
}

static int fetch_piece(const loader *self, const piece *piece, const sampler *order, int epoch,
                       ls_error *error) {
    const samples *data = self->data;
    slot *of = piece->of;
    if (piece->position >= 0 && of->count > 0 && data->is->expect)
        data->is->expect(data, order, piece->position, of->count);
    for (int index = piece->first; index < piece->first + piece->count; index++)
        LS_TRY(data->is->fetch(data, epoch, of->indices[index],
                               of->samples + (size_t)index * data->facts.bytes, &of->labels[index],
                               error));
    return piece->first == 0 ? fetch_partners(self, of, order, epoch, error) : LS_OK;
}

/* Fetches pieces until it is told to stop. Enters and leaves with the lock held. */
static void read_ahead(loader *self) {
    int number = self->threads_numbered++;
    for (;;) {
        while (!self->stop && self->failure.code == LS_OK && !has_work(self, number))
            pthread_cond_wait(&self->changed, &self->lock);
        if (self->stop || self->failure.code != LS_OK)
            return;
        piece taken = take_piece(self);
        sampler order = self->order;
        int epoch = self->epoch;
        self->busy++;
        pthread_mutex_unlock(&self->lock);
        device_range_begin(self->device, "gather");
        ls_error failure = {0};
        double started = clock_seconds();
        int status = fetch_piece(self, &taken, &order, epoch, &failure);
        device_range_end(self->device);
        pthread_mutex_lock(&self->lock);
        self->busy--;
        self->work.fetched += taken.count;
        self->work.busy_seconds += clock_seconds() - started;
        taken.of->fetched += taken.count;
        if (status != LS_OK && self->failure.code == LS_OK)
            self->failure = failure;
        count_filled(self);
    }
}

static void *run(void *argument) {
    loader *self = argument;
    pthread_mutex_lock(&self->lock);
    read_ahead(self);
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

static void start_window(loader *self) {
    self->window = (thread_window){0};
    self->unjudged = self->settings.slots;
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
    count += self->settings.partners ? LOADER_PARTNERS : 0;
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

/* Not where their creator runs: that is bound to one core of its own. */
static int start_threads(loader *self, ls_error *error) {
    int first = self->settings.threads > 0 ? self->settings.threads : 1;
    int count = self->settings.most_threads > 0 ? self->settings.most_threads : first;
    thread_search_start(&self->search, first, count);
    self->search.settled |= self->settings.most_threads == 0;
    self->threads = calloc((size_t)count, sizeof *self->threads);
    if (!self->threads)
        return ls_fail(error, LS_FAILED, "loader: out of memory");
    for (; self->threads_started < count; self->threads_started++)
        LS_TRY(thread_start(&self->threads[self->threads_started], "loader",
                            self->settings.processing_units, self->settings.processing_unit_count,
                            run, self, error));
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
    start_window(self);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, NULL);
    int status = make_slots(self, error);
    if (status == LS_OK)
        status = start_threads(self, error);
    if (status == LS_OK)
        *out = self;
    else
        loader_close(self);
    return status;
}

int loader_start_epoch(loader *self, int epoch, int64_t first, ls_error *error) {
    pthread_mutex_lock(&self->lock);
    self->paused = 1;
    while (self->busy > 0)
        pthread_cond_wait(&self->changed, &self->lock);
    int status = self->failure.code;
    if (status != LS_OK)
        ls_fail(error, status, "%s", self->failure.text);
    self->epoch = epoch;
    samples_order(self->data, self->settings.seed, epoch, self->settings.shuffled, &self->order);
    self->begun = self->filled = self->released = first;
    self->next = self->held = self->paused = 0;
    self->delivered = 0;
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

/* A batch was delivered: what is known of its threads by now. Time between epochs is nobody's. */
static void judge_threads(loader *self, double now, double waited) {
    thread_window *window = &self->window;
    bool first = self->delivered <= 0;
    if (!first && self->unjudged > 0)
        self->unjudged--;
    else if (!first) {
        window->batches++;
        window->seconds += now - self->delivered;
        window->waited_seconds += waited;
        window->busy_seconds += self->work.busy_seconds - self->busy_before;
    }
    self->delivered = now;
    self->busy_before = self->work.busy_seconds;
    if (self->search.settled || window->batches < LEAST_BATCHES || window->seconds < LEAST_SECONDS)
        return;
    thread_search_next(&self->search, window);
    start_window(self);
    pthread_cond_broadcast(&self->changed);
}

int loader_next(loader *self, loader_batch *out, ls_error *error) {
    double asked = clock_seconds();
    bool missing = false;
    pthread_mutex_lock(&self->lock);
    if (self->held) {
        self->held = 0;
        self->released++;
        pthread_cond_broadcast(&self->changed);
    }
    int status = LS_OK;
    if (self->epoch == 0 || self->released == loader_batches(self))
        status = ls_fail(error, LS_FAILED, "loader: asked for a batch outside an epoch");
    while (status == LS_OK && self->failure.code == LS_OK && self->filled == self->released) {
        missing = true;
        pthread_cond_wait(&self->changed, &self->lock);
    }
    if (self->failure.code != LS_OK)
        status = ls_fail(error, self->failure.code, "%s", self->failure.text);
    if (status == LS_OK) {
        double now = clock_seconds(), waited = missing ? now - asked : 0;
        self->work.waited_seconds += waited;
        deliver(self, out);
        judge_threads(self, now, waited);
    }
    pthread_mutex_unlock(&self->lock);
    return status;
}

loader_work loader_worked(loader *self) {
    pthread_mutex_lock(&self->lock);
    loader_work work = self->work;
    work.threads = self->search.threads;
    work.searches = !self->search.settled;
    pthread_mutex_unlock(&self->lock);
    return work;
}

void loader_close(loader *self) {
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    self->stop = 1;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
    for (int thread = 0; thread < self->threads_started; thread++)
        pthread_join(self->threads[thread], NULL);
    free(self->threads);
    if (self->memory)
        self->device->is->host_release(self->device, self->memory);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    free(self->slots);
    free(self);
}
