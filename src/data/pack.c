#include "data/pack.h"

#include "data/crew.h"
#include "data/digest.h"
#include "data/memory.h"
#include "data/pack_plan.h"
#include "data/shard.h"

#include <stdlib.h>
#include <string.h>

/* What the threads share. HDF5 is entered with `hdf5` held; conversion, digests and fsync are not
 * under any lock. */
typedef struct packing {
    crew crew;
    const source *from;
    pack_plan *plan;
    pthread_mutex_t hdf5;
    _Atomic int64_t warned[SPLITS];
} packing;

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

static int fill(packing *self, const pack_job *job, int64_t first, int64_t count, buffers *memory,
                ls_error *error) {
    int64_t warned = 0;
    LS_TRY(self->from->is->fill(self->from, job->split, job->first + first, count,
                                memory->images + first * image_bytes(&self->from->shape),
                                memory->labels + first, &warned, error));
    atomic_fetch_add(&self->warned[job->split], warned);
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
        if (one == LS_BAD_INPUT && !atomic_load(&self->crew.stop))
            crew_complain(&self->crew, &each);
    }
    return LS_OK;
}

/* Converts the shard's images and digests them while they are in the cache. */
static int convert(packing *self, const pack_job *job, buffers *memory, sha256 *digest,
                   ls_error *error) {
    enum { PIECE_BYTES = 1 << 20 };
    int64_t bytes = image_bytes(&self->from->shape);
    int64_t piece = bytes < PIECE_BYTES ? PIECE_BYTES / bytes : 1;
    for (int64_t done = 0; done < job->images && !atomic_load(&self->crew.stop);) {
        int64_t count = job->images - done < piece ? job->images - done : piece;
        LS_TRY(fill_piece(self, job, done, count, memory, error));
        sha256_add(digest, memory->images + done * bytes, (size_t)(count * bytes));
        done += count;
        atomic_fetch_add(&self->crew.done_images, count);
        atomic_fetch_add(&self->crew.done_bytes, count * bytes);
    }
    return LS_OK;
}

static int write_shard(packing *self, pack_job *job, const buffers *memory, ls_error *error) {
    shard_header header = header_of(self, job);
    const void *values[] = {memory->images, memory->labels};
    int status = LS_OK;
    pthread_mutex_lock(&self->hdf5);
    if (!atomic_load(&self->crew.stop))
        status = shard_write(job->file.temporary, job->file.path, &header, job->entry->sha256,
                             values, error);
    if (status != LS_OK)
        atomic_store(&self->crew.stop, 1); /* before the next thread enters a failed HDF5 */
    pthread_mutex_unlock(&self->hdf5);
    if (status == LS_OK && !atomic_load(&self->crew.stop))
        status = atomic_file_sync(&job->file, error);
    return status;
}

static int pack_job_run(packing *self, pack_job *job, buffers *memory, ls_error *error) {
    sha256 digest;
    shard_header header = header_of(self, job);
    part_form labels = shard_part(&header, PART_LABELS);
    LS_TRY(shard_digest_start(&digest, &header, error));
    int status = convert(self, job, memory, &digest, error);
    if (status == LS_OK && !atomic_load(&self->crew.stop))
        shard_digest_add(&digest, &labels, memory->labels);
    sha256_finish(&digest, job->entry->sha256);
    if (status != LS_OK || self->crew.damaged_files > 0)
        return status;
    return write_shard(self, job, memory, error);
}

static int run_jobs(crew *threads, ls_error *error) {
    packing *self = threads->context;
    int64_t images = self->plan->largest_job_images;
    size_t bytes = (size_t)(images * image_bytes(&self->from->shape));
    /* In huge pages: a page fault each 4 KiB would cost as much as the conversion. */
    buffers memory = {memory_map(bytes), malloc((size_t)images * sizeof(int32_t))};
    int status = LS_OK;
    if (!memory.images || !memory.labels)
        status = ls_fail(error, LS_FAILED,
                         "out of memory for a shard of %lld MiB (more --shards make them smaller)",
                         (long long)(bytes >> 20));
    for (int index = 0; status == LS_OK && (index = crew_next(threads)) >= 0;)
        status = pack_job_run(self, &self->plan->jobs[index], &memory, error);
    memory_unmap(memory.images, bytes);
    free(memory.labels);
    return status;
}

static int run_threads(packing *self, const pack_settings *settings, ls_error *error) {
    const pack_plan *plan = self->plan;
    self->crew = (crew){.settings = settings,
                        .work = run_jobs,
                        .context = self,
                        .jobs = plan->job_count,
                        .state = {.images = plan->total_images,
                                  .bytes = plan->total_images * image_bytes(&self->from->shape)}};
    crew_start(&self->crew);
    int status = crew_run(&self->crew, settings->threads, error);
    crew_end(&self->crew);
    return status;
}

int pack_run(const source *from, const pack_settings *settings, manifest *out, ls_error *error) {
    pack_plan plan;
    packing self = {.from = from, .plan = &plan};
    LS_TRY(pack_plan_start(&plan, from, settings, error));
    pthread_mutex_init(&self.hdf5, NULL);
    int status = run_threads(&self, settings, error);
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
    pthread_mutex_destroy(&self.hdf5);
    return status;
}
