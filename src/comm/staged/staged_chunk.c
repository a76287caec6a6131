/* A chunk of a staged collective: which elements it holds, how they get into pinned memory and
 * back. Allreduce, sum_tree, broadcast and reduce are cut into ranges of their buffer. The others
 * are cut within each rank's part, so that every chunk has work for all ranks: its memory holds one
 * piece of each part, one after another. */
#include "comm/staged/staged.h"

const char *staged_kind_name(staged_kind kind) {
    static const char *const names[] = {"allreduce", "reduce_scatter", "allgather",
                                        "broadcast", "reduce",         "scatter",
                                        "gather",    "sum_tree",       "barrier"};
    return names[kind];
}

static bool is_parted(staged_kind kind) {
    return kind == STAGED_REDUCE_SCATTER || kind == STAGED_ALLGATHER || kind == STAGED_SCATTER ||
           kind == STAGED_GATHER;
}

/* Elements a chunk: of the buffer, or of each rank's part (one more piece is a scatter's or
 * gather's own). */
static int64_t chunk_elements(const staged_comm *self, const staged_job *job) {
    int64_t all = STAGED_CHUNK_BYTES / (int64_t)dtype_bytes(job->type);
    return is_parted(job->kind) ? all / (self->base.size + 1) : all;
}

int64_t staged_chunk_count(const staged_comm *self, const staged_job *job) {
    int64_t longest = (int64_t)job->count, step = chunk_elements(self, job);
    if (job->kind == STAGED_BARRIER)
        return 1;
    if (is_parted(job->kind)) {
        longest = 0;
        for (int rank = 0; rank < self->base.size; rank++)
            if (job->counts[rank] > longest)
                longest = job->counts[rank];
    }
    return (longest + step - 1) / step;
}

static int64_t at_most(int64_t value, int64_t limit) {
    return value < 0 ? 0 : value < limit ? value : limit;
}

static void measure(const staged_comm *self, staged_chunk *chunk) {
    const staged_job *job = chunk->job;
    int64_t step = chunk_elements(self, job), first = chunk->index * step;
    if (!is_parted(job->kind)) {
        chunk->total = at_most((int64_t)job->count - first, step);
        return;
    }
    chunk->total = 0;
    for (int rank = 0; rank < self->base.size; rank++) {
        chunk->counts[rank] = at_most(job->counts[rank] - first, step);
        chunk->total += chunk->counts[rank];
    }
}

static int copy(staged_comm *self, staged_chunk *chunk, bool inward, int64_t in_buffer,
                int64_t in_chunk, int64_t count, ls_error *error) {
    const staged_job *job = chunk->job;
    size_t size = dtype_bytes(job->type), bytes = (size_t)count * size;
    char *pinned = chunk->memory + (size_t)in_chunk * size;
    if (count == 0)
        return LS_OK;
    chunk->copying = true;
    if (inward)
        return self->device->is->copy(self->device, self->inward, pinned,
                                      job->from + (size_t)in_buffer * size, bytes,
                                      COPY_DEVICE_TO_HOST, error);
    return self->device->is->copy(self->device, self->outward, job->to + (size_t)in_buffer * size,
                                  pinned, bytes, COPY_HOST_TO_DEVICE, error);
}

/* The pieces of the ranks `wanted` says, between a buffer of all parts and the chunk. */
typedef enum { EVERYONE, ONLY_ME, ALL_BUT_ME } whose;

static int copy_pieces(staged_comm *self, staged_chunk *chunk, bool inward, whose wanted,
                       ls_error *error) {
    const staged_job *job = chunk->job;
    int64_t before = chunk->index * chunk_elements(self, job), at = 0;
    for (int rank = 0; rank < self->base.size; rank++) {
        bool mine = rank == self->base.rank;
        if (wanted == EVERYONE || mine == (wanted == ONLY_ME))
            LS_TRY(copy(self, chunk, inward, job->first[rank] + before, at, chunk->counts[rank],
                        error));
        at += chunk->counts[rank];
    }
    return LS_OK;
}

/* This rank's piece of a buffer that holds its part alone. */
static int copy_own_part(staged_comm *self, staged_chunk *chunk, bool inward, ls_error *error) {
    return copy(self, chunk, inward, chunk->index * chunk_elements(self, chunk->job), chunk->total,
                chunk->counts[self->base.rank], error);
}

static int copy_range(staged_comm *self, staged_chunk *chunk, bool inward, ls_error *error) {
    return copy(self, chunk, inward, chunk->index * chunk_elements(self, chunk->job), 0,
                chunk->total, error);
}

static int copy_input(staged_comm *self, staged_chunk *chunk, ls_error *error) {
    bool is_root = self->base.rank == chunk->job->root;
    switch (chunk->job->kind) {
    case STAGED_ALLREDUCE:
    case STAGED_SUM_TREE:
    case STAGED_REDUCE:
        return copy_range(self, chunk, true, error);
    case STAGED_BROADCAST:
        return is_root ? copy_range(self, chunk, true, error) : LS_OK;
    case STAGED_REDUCE_SCATTER:
        return copy_pieces(self, chunk, true, EVERYONE, error);
    case STAGED_ALLGATHER:
        return copy_pieces(self, chunk, true, ONLY_ME, error);
    case STAGED_SCATTER:
        return is_root ? copy_pieces(self, chunk, true, EVERYONE, error) : LS_OK;
    case STAGED_GATHER:
        return copy_own_part(self, chunk, true, error);
    case STAGED_BARRIER:
        break;
    }
    return LS_OK;
}

static int copy_result(staged_comm *self, staged_chunk *chunk, ls_error *error) {
    bool is_root = self->base.rank == chunk->job->root;
    switch (chunk->job->kind) {
    case STAGED_ALLREDUCE:
    case STAGED_SUM_TREE:
        return copy_range(self, chunk, false, error);
    case STAGED_REDUCE:
        return is_root ? copy_range(self, chunk, false, error) : LS_OK;
    case STAGED_BROADCAST:
        return is_root ? LS_OK : copy_range(self, chunk, false, error);
    case STAGED_REDUCE_SCATTER:
        return copy_pieces(self, chunk, false, ONLY_ME, error);
    case STAGED_ALLGATHER:
        return copy_pieces(self, chunk, false, ALL_BUT_ME, error);
    case STAGED_SCATTER:
        return copy_own_part(self, chunk, false, error);
    case STAGED_GATHER:
        return is_root ? copy_pieces(self, chunk, false, EVERYONE, error) : LS_OK;
    case STAGED_BARRIER:
        break;
    }
    return LS_OK;
}

int staged_copy_in(staged_comm *self, staged_job *job, int64_t index, staged_chunk *chunk,
                   ls_error *error) {
    const device_interface *is = self->device->is;
    chunk->job = job;
    chunk->index = index;
    chunk->copying = false;
    measure(self, chunk);
    bool starts = index == 0 && job->kind != STAGED_BARRIER;
    if (starts)
        LS_TRY(is->stream_wait_event(self->device, self->inward, job->start, error));
    LS_TRY(copy_input(self, chunk, error));
    /* Where nothing is copied in, the buffer is still the caller's until then. Else the copy that
     * was seen complete tells, and results of earlier jobs need not wait for this one's start. */
    if (starts && !chunk->copying)
        LS_TRY(is->stream_wait_event(self->device, self->outward, job->start, error));
    return chunk->copying ? is->event_record(self->device, chunk->copied, self->inward, error)
                          : LS_OK;
}

int staged_copy_out(staged_comm *self, staged_chunk *chunk, ls_error *error) {
    const device_interface *is = self->device->is;
    chunk->copying = false;
    LS_TRY(copy_result(self, chunk, error));
    return chunk->copying ? is->event_record(self->device, chunk->copied, self->outward, error)
                          : LS_OK;
}

int staged_begin(staged_comm *self, staged_chunk *chunk, ls_error *error) {
    const staged_job *job = chunk->job;
    const comm_interface *is = self->inner->is;
    comm *inner = self->inner;
    char *whole = chunk->memory;
    char *part = whole + (size_t)chunk->total * dtype_bytes(job->type);
    size_t total = (size_t)chunk->total;
    switch (job->kind) {
    case STAGED_ALLREDUCE:
        return is->allreduce(inner, NULL, whole, total, job->type, job->how, &chunk->work, error);
    case STAGED_REDUCE_SCATTER:
        return is->reduce_scatter(inner, NULL, whole, chunk->counts, job->type, job->how,
                                  &chunk->work, error);
    case STAGED_ALLGATHER:
        return is->allgather(inner, NULL, whole, chunk->counts, job->type, &chunk->work, error);
    case STAGED_BROADCAST:
        return is->broadcast(inner, NULL, whole, total, job->type, job->root, &chunk->work, error);
    case STAGED_REDUCE:
        return is->reduce(inner, NULL, whole, total, job->type, job->how, job->root, &chunk->work,
                          error);
    case STAGED_SCATTER:
        return is->scatter(inner, NULL, whole, part, chunk->counts, job->type, job->root,
                           &chunk->work, error);
    case STAGED_GATHER:
        return is->gather(inner, NULL, part, whole, chunk->counts, job->type, job->root,
                          &chunk->work, error);
    case STAGED_SUM_TREE:
        return is->sum_tree(inner, NULL, whole, total, 1, total, job->type, &chunk->work, error);
    case STAGED_BARRIER: /* every rank's number has reached every rank */
        return is->allreduce(inner, NULL, whole, (size_t)self->base.size, DTYPE_I32, REDUCTION_MAX,
                             &chunk->work, error);
    }
    return LS_OK;
}
