/* The caller's side of a staged comm: a collective becomes a job in the thread's queue. */
#include "comm/staged/staged.h"
#include "base/ending.h"
#include "base/thread.h"
#include "comm/comm_implementations.h"
#include "comm/reduce.h"
#include "comm/tree.h"

#include <stdlib.h>
#include <string.h>

static int take_job(staged_comm *self, const staged_job *wanted, staged_job **out,
                    ls_error *error) {
    for (int index = 0; index < STAGED_JOBS; index++) {
        staged_job *job = &self->jobs[index];
        if (job->taken)
            continue;
        staged_job kept = *job;
        *job = *wanted;
        job->counts = kept.counts;
        job->first = kept.first;
        job->start = kept.start;
        job->end = kept.end;
        job->taken = true;
        job->landed = false;
        *out = job;
        return LS_OK;
    }
    return ls_fail(error, LS_FAILED, "%s: %d collectives are outstanding, more than comm holds",
                   staged_kind_name(wanted->kind), STAGED_JOBS);
}

static void set_counts(staged_comm *self, staged_job *job, const int64_t *counts) {
    job->first[0] = 0;
    for (int rank = 0; rank < self->base.size; rank++) {
        job->counts[rank] = counts[rank];
        job->first[rank + 1] = job->first[rank] + counts[rank];
    }
    job->count = (size_t)job->first[self->base.size];
}

static void push(staged_comm *self, staged_job *job) {
    pthread_mutex_lock(&self->mutex);
    self->queue[self->issued++ % STAGED_JOBS] = job;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

/* `wanted` has all but counts; those are NULL where the ranks have no parts. */
static int issue(comm *base, device_stream *stream, const staged_job *wanted, const int64_t *counts,
                 comm_work *work, ls_error *error) {
    staged_comm *self = (staged_comm *)base;
    device *device = self->device;
    staged_job *job = NULL;
    ending_hold();
    if (!stream && wanted->kind != STAGED_BARRIER)
        return ls_fail(error, LS_FAILED, "mpi %s: host memory given to a comm of device memory",
                       staged_kind_name(wanted->kind));
    LS_TRY(take_job(self, wanted, &job, error));
    work->handle = job;
    if (counts)
        set_counts(self, job, counts);
    job->chunks = staged_chunk_count(self, job);
    if (job->chunks == 0) {
        job->landed = true;
        return device->is->event_record(device, job->end, stream, error);
    }
    if (stream)
        LS_TRY(device->is->event_record(device, job->start, stream, error));
    push(self, job);
    return LS_OK;
}

static int refuse_type(const staged_job *job, ls_error *error) {
    if (reduce_supports(job->type))
        return LS_OK;
    return ls_fail(error, LS_FAILED, "%s: the mpi comm does not reduce %s yet",
                   staged_kind_name(job->kind), dtype_name(job->type));
}

static int staged_allreduce(comm *self, device_stream *stream, void *buffer, size_t count,
                            dtype type, reduction how, comm_work *work, ls_error *error) {
    staged_job job = {.kind = STAGED_ALLREDUCE,
                      .from = buffer,
                      .to = buffer,
                      .count = count,
                      .type = type,
                      .how = how};
    LS_TRY(refuse_type(&job, error));
    return issue(self, stream, &job, NULL, work, error);
}

static int staged_reduce_scatter(comm *self, device_stream *stream, void *buffer,
                                 const int64_t *counts, dtype type, reduction how, comm_work *work,
                                 ls_error *error) {
    staged_job job = {
        .kind = STAGED_REDUCE_SCATTER, .from = buffer, .to = buffer, .type = type, .how = how};
    LS_TRY(refuse_type(&job, error));
    return issue(self, stream, &job, counts, work, error);
}

static int staged_allgather(comm *self, device_stream *stream, void *buffer, const int64_t *counts,
                            dtype type, comm_work *work, ls_error *error) {
    staged_job job = {.kind = STAGED_ALLGATHER, .from = buffer, .to = buffer, .type = type};
    return issue(self, stream, &job, counts, work, error);
}

static int staged_broadcast(comm *self, device_stream *stream, void *buffer, size_t count,
                            dtype type, int root, comm_work *work, ls_error *error) {
    staged_job job = {.kind = STAGED_BROADCAST,
                      .from = buffer,
                      .to = buffer,
                      .count = count,
                      .type = type,
                      .root = root};
    return issue(self, stream, &job, NULL, work, error);
}

static int staged_reduce(comm *self, device_stream *stream, void *buffer, size_t count, dtype type,
                         reduction how, int root, comm_work *work, ls_error *error) {
    staged_job job = {.kind = STAGED_REDUCE,
                      .from = buffer,
                      .to = buffer,
                      .count = count,
                      .type = type,
                      .how = how,
                      .root = root};
    LS_TRY(refuse_type(&job, error));
    return issue(self, stream, &job, NULL, work, error);
}

static int staged_scatter(comm *self, device_stream *stream, const void *whole, void *part,
                          const int64_t *counts, dtype type, int root, comm_work *work,
                          ls_error *error) {
    staged_job job = {
        .kind = STAGED_SCATTER, .from = whole, .to = part, .type = type, .root = root};
    return issue(self, stream, &job, counts, work, error);
}

static int staged_gather(comm *self, device_stream *stream, const void *part, void *whole,
                         const int64_t *counts, dtype type, int root, comm_work *work,
                         ls_error *error) {
    staged_job job = {.kind = STAGED_GATHER, .from = part, .to = whole, .type = type, .root = root};
    return issue(self, stream, &job, counts, work, error);
}

static int staged_sum_tree(comm *self, device_stream *stream, void *buffer, size_t count, int rows,
                           size_t stride, dtype type, comm_work *work, ls_error *error) {
    staged_job job = {
        .kind = STAGED_SUM_TREE, .from = buffer, .to = buffer, .count = count, .type = type};
    if (type != DTYPE_F32 || !stream)
        return ls_fail(error, LS_FAILED, "sum_tree: expected fp32 in device memory, found %s",
                       dtype_name(type));
    LS_TRY(tree_sum_rows_on(((staged_comm *)self)->device, stream, buffer, rows, stride, count,
                            error));
    return issue(self, stream, &job, NULL, work, error);
}

static int staged_progress(comm *self, ls_error *error) {
    (void)self, (void)error;
    ending_hold();
    return LS_OK;
}

/* The stream can wait for `end` only once it is recorded: the host waits for that. */
static int staged_wait(comm *base, device_stream *stream, comm_work *work, ls_error *error) {
    staged_comm *self = (staged_comm *)base;
    device *device = self->device;
    staged_job *job = work->handle;
    if (!job)
        return LS_OK;
    ending_hold();
    pthread_mutex_lock(&self->mutex);
    while (!job->landed)
        pthread_cond_wait(&self->changed, &self->mutex);
    pthread_mutex_unlock(&self->mutex);
    job->taken = false;
    work->handle = NULL;
    return stream ? device->is->stream_wait_event(device, stream, job->end, error)
                  : device->is->event_synchronize(device, job->end, error);
}

static int staged_barrier(comm *base, ls_error *error) {
    staged_job job = {.kind = STAGED_BARRIER};
    comm_work work = {0};
    LS_TRY(issue(base, NULL, &job, NULL, &work, error));
    return staged_wait(base, NULL, &work, error);
}

/* ---- open and close */

static void stop_thread(staged_comm *self) {
    if (!self->thread_runs)
        return;
    pthread_mutex_lock(&self->mutex);
    self->stopping = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->thread, NULL);
}

static void staged_close(comm *base) {
    staged_comm *self = (staged_comm *)base;
    const device_interface *is = self->device->is;
    stop_thread(self);
    for (int index = 0; index < STAGED_JOBS; index++) {
        staged_job *job = &self->jobs[index];
        free(job->counts);
        free(job->first);
        if (job->start)
            is->event_destroy(self->device, job->start);
        if (job->end)
            is->event_destroy(self->device, job->end);
    }
    for (int index = 0; index < STAGED_CHUNKS; index++) {
        staged_chunk *chunk = &self->chunks[index];
        free(chunk->counts);
        if (chunk->memory)
            is->host_release(self->device, chunk->memory);
        if (chunk->copied)
            is->event_destroy(self->device, chunk->copied);
    }
    if (self->inward)
        is->stream_destroy(self->device, self->inward);
    if (self->outward)
        is->stream_destroy(self->device, self->outward);
    comm_close(self->inner);
    free(self);
}

static int staged_allocate(comm *self, size_t bytes, const char *what, void **out,
                           ls_error *error) {
    return comm_plain_allocate(((staged_comm *)self)->device, bytes, what, out, error);
}

static void staged_release(comm *self, void *memory) {
    comm_plain_release(((staged_comm *)self)->device, memory);
}

static const comm_interface staged_interface = {
    .name = "mpi",
    .allreduce = staged_allreduce,
    .reduce_scatter = staged_reduce_scatter,
    .allgather = staged_allgather,
    .broadcast = staged_broadcast,
    .reduce = staged_reduce,
    .scatter = staged_scatter,
    .gather = staged_gather,
    .sum_tree = staged_sum_tree,
    .barrier = staged_barrier,
    .allocate = staged_allocate,
    .release = staged_release,
    .progress = staged_progress,
    .wait = staged_wait,
    .close = staged_close,
};

/* Everything that a collective needs is had here, so that none allocates. */
static int allocate(staged_comm *self, ls_error *error) {
    const device_interface *is = self->device->is;
    size_t size = (size_t)self->base.size;
    bool enough = true;
    LS_TRY(is->stream_create(self->device, &self->inward, error));
    LS_TRY(is->stream_create(self->device, &self->outward, error));
    for (int index = 0; index < STAGED_JOBS; index++) {
        staged_job *job = &self->jobs[index];
        job->counts = calloc(size, sizeof *job->counts);
        job->first = calloc(size + 1, sizeof *job->first);
        enough = enough && job->counts && job->first;
        LS_TRY(is->event_create(self->device, &job->start, error));
        LS_TRY(is->event_create(self->device, &job->end, error));
    }
    for (int index = 0; index < STAGED_CHUNKS; index++) {
        staged_chunk *chunk = &self->chunks[index];
        chunk->counts = calloc(size, sizeof *chunk->counts);
        enough = enough && chunk->counts;
        LS_TRY(is->event_create(self->device, &chunk->copied, error));
        LS_TRY(is->host_allocate(self->device, STAGED_CHUNK_BYTES, (void **)&chunk->memory, error));
    }
    return enough ? LS_OK : ls_fail(error, LS_FAILED, "no memory for the mpi comm");
}

int comm_staged_open(const comm_settings *settings, comm **out, ls_error *error) {
    staged_comm *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "no memory for the mpi comm");
    self->base = (comm){.is = &staged_interface, .rank = settings->rank, .size = settings->size};
    self->settings = *settings;
    self->device = settings->device;
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->changed, NULL);
    int status = comm_mpi_open(settings, &self->inner, error);
    if (status == LS_OK)
        status = allocate(self, error);
    if (status == LS_OK)
        status = thread_start(&self->thread, "comm mpi", settings->processing_units,
                              settings->processing_unit_count, staged_run, self, error);
    self->thread_runs = status == LS_OK;
    if (status != LS_OK) {
        staged_close(&self->base);
        return status;
    }
    *out = &self->base;
    return LS_OK;
}
