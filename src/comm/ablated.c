#include "comm/ablated.h"

#include "comm/wrapper.h"
#include "device/device.h"

#include <stdlib.h>

typedef struct ablated_comm {
    comm_wrapper wrapper;
    bool ablated;
} ablated_comm;

static ablated_comm *of(comm *base) {
    return (ablated_comm *)base;
}

/* True where the call is to do nothing: it is done at once. */
static bool nothing(comm *base, comm_work *work) {
    if (!of(base)->ablated)
        return false;
    work->handle = NULL;
    return true;
}

static int allreduce(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                     reduction how, comm_work *work, ls_error *error) {
    comm *inner = comm_inner(base);
    if (nothing(base, work))
        return LS_OK;
    return inner->is->allreduce(inner, stream, buffer, count, type, how, work, error);
}

static int reduce_scatter(comm *base, device_stream *stream, void *buffer, const int64_t *counts,
                          dtype type, reduction how, comm_work *work, ls_error *error) {
    comm *inner = comm_inner(base);
    if (nothing(base, work))
        return LS_OK;
    return inner->is->reduce_scatter(inner, stream, buffer, counts, type, how, work, error);
}

static int allgather(comm *base, device_stream *stream, void *buffer, const int64_t *counts,
                     dtype type, comm_work *work, ls_error *error) {
    comm *inner = comm_inner(base);
    if (nothing(base, work))
        return LS_OK;
    return inner->is->allgather(inner, stream, buffer, counts, type, work, error);
}

static int broadcast(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                     int root, comm_work *work, ls_error *error) {
    comm *inner = comm_inner(base);
    if (nothing(base, work))
        return LS_OK;
    return inner->is->broadcast(inner, stream, buffer, count, type, root, work, error);
}

static int reduce(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                  reduction how, int root, comm_work *work, ls_error *error) {
    comm *inner = comm_inner(base);
    if (nothing(base, work))
        return LS_OK;
    return inner->is->reduce(inner, stream, buffer, count, type, how, root, work, error);
}

static int scatter(comm *base, device_stream *stream, const void *whole, void *part,
                   const int64_t *counts, dtype type, int root, comm_work *work, ls_error *error) {
    comm *inner = comm_inner(base);
    if (nothing(base, work))
        return LS_OK;
    return inner->is->scatter(inner, stream, whole, part, counts, type, root, work, error);
}

static int gather(comm *base, device_stream *stream, const void *part, void *whole,
                  const int64_t *counts, dtype type, int root, comm_work *work, ls_error *error) {
    comm *inner = comm_inner(base);
    if (nothing(base, work))
        return LS_OK;
    return inner->is->gather(inner, stream, part, whole, counts, type, root, work, error);
}

static int sum_tree(comm *base, device_stream *stream, void *buffer, size_t count, int rows,
                    size_t stride, dtype type, comm_work *work, ls_error *error) {
    comm *inner = comm_inner(base);
    if (nothing(base, work))
        return LS_OK;
    return inner->is->sum_tree(inner, stream, buffer, count, rows, stride, type, work, error);
}

static int offer(comm *base, device_stream *stream, void *buffer, size_t bytes, comm_work *work,
                 ls_error *error) {
    comm *inner = comm_inner(base);
    if (nothing(base, work))
        return LS_OK;
    return inner->is->offer(inner, stream, buffer, bytes, work, error);
}

static int barrier(comm *base, ls_error *error) {
    comm *inner = comm_inner(base);
    return of(base)->ablated ? LS_OK : inner->is->barrier(inner, error);
}

static int progress(comm *base, ls_error *error) {
    comm *inner = comm_inner(base);
    return of(base)->ablated ? LS_OK : inner->is->progress(inner, error);
}

static int wait(comm *base, device_stream *stream, comm_work *work, ls_error *error) {
    comm *inner = comm_inner(base);
    return work->handle ? inner->is->wait(inner, stream, work, error) : LS_OK;
}

static bool is_done(const comm *base, const comm_work *work) {
    return comm_is_done(((const comm_wrapper *)base)->inner, work);
}

int comm_ablated_open(comm *inner, comm **out, ls_error *error) {
    const comm_interface calls = {.allreduce = allreduce,
                                  .reduce_scatter = reduce_scatter,
                                  .allgather = allgather,
                                  .broadcast = broadcast,
                                  .reduce = reduce,
                                  .scatter = scatter,
                                  .gather = gather,
                                  .sum_tree = sum_tree,
                                  .offer = offer,
                                  .barrier = barrier,
                                  .progress = progress,
                                  .wait = wait,
                                  .is_done = is_done};
    ablated_comm *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "no memory for the ablated comm");
    comm_wrap(&self->wrapper, inner, &calls);
    *out = &self->wrapper.base;
    return LS_OK;
}

void comm_ablate(comm *self) {
    of(self)->ablated = true;
}
