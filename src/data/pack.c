#include "data/pack.h"

#include "base/signals.h"
#include "base/thread.h"
#include "data/digest.h"
#include "data/memory.h"
#include "data/pack_plan.h"
#include "data/shard.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the threads share. HDF5 is entered with `hdf5` held; conversion, digests and fsync are not
 * under any lock. */
typedef struct packing {
    const source *from;
    const pack_settings *settings;
    pack_plan *plan;
    atomic_int next_job;
    atomic_int stop;
    _Atomic int64_t done_images;
    pthread_mutex_t hdf5;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t finished;
    int running;
    ls_error failure; /* the first one */
    ls_error damaged; /* the first file that is */
    _Atomic int damaged_files;
    int64_t warned[SPLITS];
} packing;

enum { MOST_DAMAGED = 20 }; /* files that are named */

/* The memory of one thread, for the largest shard. */
typedef struct buffers {
    uint8_t *images;
    int32_t *labels;
} buffers;

static shard_header header_of(const packing *self, const pack_job *job) {
    return (shard_header){.split = split_names[job->split],
                          .first = job->first,
                          .images = job->images,
                          .shape = self->from->shape,
                          .classes = &self->from->classes};
}

/* The first waits for a second: one alone is the error itself. */
static void complain(packing *self, const ls_error *about) {
    pthread_mutex_lock(&self->lock);
    if (self->damaged_files == 0)
        self->damaged = *about;
    if (self->damaged_files == 1 && self->settings->complain)
        self->settings->complain(self->damaged.text);
    if (self->damaged_files > 0 && self->damaged_files < MOST_DAMAGED && self->settings->complain)
        self->settings->complain(about->text);
    if (++self->damaged_files >= MOST_DAMAGED)
        atomic_store(&self->stop, 1);
    pthread_mutex_unlock(&self->lock);
}

static int fill(packing *self, const pack_job *job, int64_t first, int64_t count, buffers *memory,
                ls_error *error) {
    int64_t warned = 0;
    LS_TRY(self->from->is->fill(self->from, job->split, job->first + first, count,
                                memory->images + first * image_bytes(&self->from->shape),
                                memory->labels + first, &warned, error));
    pthread_mutex_lock(&self->lock);
    self->warned[job->split] += warned;
    pthread_mutex_unlock(&self->lock);
    return LS_OK;
}

/* Where a file is damaged the others are read all the same, one by one, so that the next attempt
 * does not end at the second. */
static int fill_piece(packing *self, const pack_job *job, int64_t first, int64_t count,
                      buffers *memory, ls_error *error) {
    ls_error found = {0};
    int status = fill(self, job, first, count, memory, &found);
    if (status != LS_OK && status != LS_BAD_INPUT)
        return ls_fail(error, status, "%s", found.text);
    for (int64_t index = 0; status == LS_BAD_INPUT && index < count; index++) {
        ls_error each = {0};
        int one = fill(self, job, first + index, 1, memory, &each);
        if (one != LS_OK && one != LS_BAD_INPUT)
            return ls_fail(error, one, "%s", each.text);
        if (one == LS_BAD_INPUT && !atomic_load(&self->stop))
            complain(self, &each);
    }
    return LS_OK;
}

/* Converts the shard's images and digests them while they are in the cache. */
static int convert(packing *self, const pack_job *job, buffers *memory, sha256 *digest,
                   ls_error *error) {
    enum { PIECE_BYTES = 1 << 20 };
    int64_t bytes = image_bytes(&self->from->shape);
    int64_t piece = bytes < PIECE_BYTES ? PIECE_BYTES / bytes : 1;
    for (int64_t done = 0; done < job->images && !atomic_load(&self->stop);) {
        int64_t count = job->images - done < piece ? job->images - done : piece;
        LS_TRY(fill_piece(self, job, done, count, memory, error));
        sha256_add(digest, memory->images + done * bytes, (size_t)(count * bytes));
        done += count;
        atomic_fetch_add(&self->done_images, count);
    }
    return LS_OK;
}

static int write_shard(packing *self, pack_job *job, const buffers *memory, ls_error *error) {
    shard_header header = header_of(self, job);
    const void *values[] = {memory->images, memory->labels};
    int status = LS_OK;
    pthread_mutex_lock(&self->hdf5);
    if (!atomic_load(&self->stop))
        status = shard_write(job->file.temporary, job->file.path, &header, job->entry->sha256,
                             values, error);
    if (status != LS_OK)
        atomic_store(&self->stop, 1); /* before the next thread enters a failed HDF5 */
    pthread_mutex_unlock(&self->hdf5);
    if (status == LS_OK && !atomic_load(&self->stop))
        status = atomic_file_sync(&job->file, error);
    return status;
}

static int pack_job_run(packing *self, pack_job *job, buffers *memory, ls_error *error) {
    sha256 digest;
    shard_header header = header_of(self, job);
    part_form labels = shard_part(&header, PART_LABELS);
    LS_TRY(shard_digest_start(&digest, &header, error));
    int status = convert(self, job, memory, &digest, error);
    if (status == LS_OK && !atomic_load(&self->stop))
        shard_digest_add(&digest, &labels, memory->labels);
    sha256_finish(&digest, job->entry->sha256);
    if (status != LS_OK || self->damaged_files > 0)
        return status;
    return write_shard(self, job, memory, error);
}

static int run_jobs(packing *self, ls_error *error) {
    int64_t images = self->plan->largest_job_images;
    size_t bytes = (size_t)(images * image_bytes(&self->from->shape));
    /* In huge pages: a page fault each 4 KiB would cost as much as the conversion. */
    buffers memory = {memory_map(bytes), malloc((size_t)images * sizeof(int32_t))};
    int status = LS_OK;
    if (!memory.images || !memory.labels)
        status = ls_fail(error, LS_FAILED,
                         "out of memory for a shard of %lld MiB (more --shards make them smaller)",
                         (long long)(bytes >> 20));
    while (status == LS_OK && !atomic_load(&self->stop)) {
        int index = atomic_fetch_add(&self->next_job, 1);
        if (index >= self->plan->job_count)
            break;
        status = pack_job_run(self, &self->plan->jobs[index], &memory, error);
    }
    memory_unmap(memory.images, bytes);
    free(memory.labels);
    return status;
}

static void *worker(void *argument) {
    packing *self = argument;
    ls_error failure = {0};
    int status = run_jobs(self, &failure);
    pthread_mutex_lock(&self->lock);
    if (status != LS_OK) {
        ls_fail(&self->failure, status, "%s", failure.text);
        atomic_store(&self->stop, 1);
    }
    self->running--;
    pthread_cond_signal(&self->finished);
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

int pack_check_interrupt(const pack_settings *settings, ls_error *error) {
    int number = settings->interrupted ? (int)*settings->interrupted : 0;
    if (number == 0)
        return LS_OK;
    return ls_fail(error, signals_exit_code(number),
                   "pack: interrupted by %s: %s is as it was before", signals_name(number),
                   settings->folder);
}

static int fail_damaged(const packing *self, ls_error *error) {
    int files = self->damaged_files;
    if (files == 0)
        return LS_OK;
    if (files == 1)
        return ls_fail(error, LS_BAD_INPUT, "%s", self->damaged.text);
    return ls_fail(error, LS_BAD_INPUT,
                   "pack: %d damaged files, named above%s: mend or remove them",
                   files < MOST_DAMAGED ? files : MOST_DAMAGED,
                   files < MOST_DAMAGED ? "" : ", and perhaps more");
}

/* Until all threads have ended: shows progress, and hands a signal on to them. */
static int supervise(packing *self, ls_error *error) {
    int status = LS_OK;
    pthread_mutex_lock(&self->lock);
    while (self->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 50 * 1000 * 1000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&self->finished, &self->lock, &until);
        if (status == LS_OK)
            status = pack_check_interrupt(self->settings, error);
        if (status != LS_OK)
            atomic_store(&self->stop, 1);
        else if (self->settings->progress)
            self->settings->progress(self->settings->progress_context,
                                     atomic_load(&self->done_images), self->plan->total_images);
    }
    if (status == LS_OK && self->failure.code != LS_OK)
        status = ls_fail(error, self->failure.code, "%s", self->failure.text);
    pthread_mutex_unlock(&self->lock);
    if (status == LS_OK)
        status = pack_check_interrupt(self->settings, error);
    return status != LS_OK ? status : fail_damaged(self, error);
}

/* Signals are for the thread that supervises. */
static int start_threads(packing *self, pthread_t *threads, int count, ls_error *error) {
    sigset_t all, before;
    int status = LS_OK, started = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&self->lock);
    for (; status == LS_OK && started < count; started++) {
        int failed = pthread_create(&threads[started], NULL, worker, self);
        if (failed) {
            status = thread_fail(error, "pack", failed);
            break;
        }
        self->running++;
    }
    pthread_mutex_unlock(&self->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status != LS_OK)
        atomic_store(&self->stop, 1);
    return started;
}

static int run_threads(packing *self, ls_error *error) {
    int count = self->settings->threads < self->plan->job_count ? self->settings->threads
                                                                : self->plan->job_count;
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    if (!threads)
        return ls_fail(error, LS_FAILED, "pack: out of memory");
    int started = start_threads(self, threads, count, error);
    int status = supervise(self, error);
    for (int index = 0; index < started; index++)
        pthread_join(threads[index], NULL);
    free(threads);
    return error->code != LS_OK ? error->code : status;
}

int pack_run(const source *from, const pack_settings *settings, manifest *out, ls_error *error) {
    pack_plan plan;
    packing self = {.from = from, .settings = settings, .plan = &plan};
    LS_TRY(pack_plan_start(&plan, from, settings, error));
    pthread_mutex_init(&self.hdf5, NULL);
    pthread_mutex_init(&self.lock, NULL);
    pthread_cond_init(&self.finished, NULL);
    int status = run_threads(&self, error);
    for (int split = 0; split < SPLITS; split++)
        plan.manifest.splits[split].warned = self.warned[split];
    if (status == LS_OK)
        status = pack_plan_commit(&plan, error);
    if (status == LS_OK) {
        *out = plan.manifest;
        memset(&plan.manifest, 0, sizeof plan.manifest);
    } else {
        pack_plan_discard(&plan);
    }
    pack_plan_release(&plan);
    pthread_cond_destroy(&self.finished);
    pthread_mutex_destroy(&self.lock);
    pthread_mutex_destroy(&self.hdf5);
    return status;
}
