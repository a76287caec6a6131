#include "comm/ablated.h"

#include "device/device.h"

#include <stdlib.h>
#include <string.h>

typedef struct ablated_comm {
    comm base;
    comm_interface interface;
    comm *inner;
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
    comm *inner = of(base)->inner;
    if (nothing(base, work))
        return LS_OK;
    return inner->is->allreduce(inner, stream, buffer, count, type, how, work, error);
}

static int reduce_scatter(comm *base, device_stream *stream, void *buffer, const int64_t *counts,
                          dtype type, reduction how, comm_work *work, ls_error *error) {
    comm *inner = of(base)->inner;
    if (nothing(base, work))
        return LS_OK;
    return inner->is->reduce_scatter(inner, stream, buffer, counts, type, how, work, error);
}

static int allgather(comm *base, device_stream *stream, void *buffer, const int64_t *counts,
                     dtype type, comm_work *work, ls_error *error) {
    comm *inner = of(base)->inner;
    if (nothing(base, work))
        return LS_OK;
    return inner->is->allgather(inner, stream, buffer, counts, type, work, error);
}

static int broadcast(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                     int root, comm_work *work, ls_error *error) {
    comm *inner = of(base)->inner;
    if (nothing(base, work))
        return LS_OK;
    return inner->is->broadcast(inner, stream, buffer, count, type, root, work, error);
}

static int reduce(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                  reduction how, int root, comm_work *work, ls_error *error) {
    comm *inner = of(base)->inner;
    if (nothing(base, work))
        return LS_OK;
    return inner->is->reduce(inner, stream, buffer, count, type, how, root, work, error);
}

static int scatter(comm *base, device_stream *stream, const void *whole, void *part,
                   const int64_t *counts, dtype type, int root, comm_work *work, ls_error *error) {
    comm *inner = of(base)->inner;
    if (nothing(base, work))
        return LS_OK;
    return inner->is->scatter(inner, stream, whole, part, counts, type, root, work, error);
}

static int gather(comm *base, device_stream *stream, const void *part, void *whole,
                  const int64_t *counts, dtype type, int root, comm_work *work, ls_error *error) {
    comm *inner = of(base)->inner;
    if (nothing(base, work))
        return LS_OK;
    return inner->is->gather(inner, stream, part, whole, counts, type, root, work, error);
}

static int barrier(comm *base, ls_error *error) {
    comm *inner = of(base)->inner;
    return of(base)->ablated ? LS_OK : inner->is->barrier(inner, error);
}

static int progress(comm *base, ls_error *error) {
    comm *inner = of(base)->inner;
    return of(base)->ablated ? LS_OK : inner->is->progress(inner, error);
}

static int wait(comm *base, device_stream *stream, comm_work *work, ls_error *error) {
    comm *inner = of(base)->inner;
    return work->handle ? inner->is->wait(inner, stream, work, error) : LS_OK;
}

static int allocate(comm *base, size_t bytes, const char *what, void **out, ls_error *error) {
    comm *inner = of(base)->inner;
    int status = inner->is->allocate(inner, bytes, what, out, error);
    memcpy(base->note, inner->note, sizeof base->note);
    return status;
}

static void release(comm *base, void *memory) {
    comm *inner = of(base)->inner;
    inner->is->release(inner, memory);
}

static void close_both(comm *base) {
    comm_close(of(base)->inner);
    free(base);
}

int comm_ablated_open(comm *inner, comm **out, ls_error *error) {
    ablated_comm *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "no memory for the ablated comm");
    self->interface = (comm_interface){.name = inner->is->name,
                                       .capturable = inner->is->capturable,
                                       .allreduce = allreduce,
                                       .reduce_scatter = reduce_scatter,
                                       .allgather = allgather,
                                       .broadcast = broadcast,
                                       .reduce = reduce,
                                       .scatter = scatter,
                                       .gather = gather,
                                       .barrier = barrier,
                                       .progress = progress,
                                       .wait = wait,
                                       .is_done = inner->is->is_done,
                                       .allocate = allocate,
                                       .release = release,
                                       .close = close_both};
    self->base = *inner;
    self->base.is = &self->interface;
    self->inner = inner;
    *out = &self->base;
    return LS_OK;
}

void comm_ablate(comm *self) {
    of(self)->ablated = true;
}
