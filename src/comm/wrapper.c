#include "comm/wrapper.h"

#include <stdlib.h>
#include <string.h>

/* ---- a collective becomes a call, and a call a collective again */

static int around(comm *base, device_stream *stream, const comm_call *call, comm_work *work,
                  ls_error *error) {
    return ((comm_wrapper *)base)->around(base, stream, call, work, error);
}

static int64_t bytes_of(int64_t count, dtype type) {
    return count * (int64_t)dtype_bytes(type);
}

static int64_t sum(const comm *self, const int64_t *counts) {
    int64_t total = 0;
    for (int rank = 0; rank < self->size; rank++)
        total += counts[rank];
    return total;
}

static int64_t moved(const comm *self, const int64_t *counts, int root) {
    return self->rank == root ? sum(self, counts) : counts[self->rank];
}

static int make_allreduce(const comm_call *call, comm *to, device_stream *stream, comm_work *work,
                          ls_error *error) {
    return to->is->allreduce(to, stream, call->buffer, call->count, call->type, call->how, work,
                             error);
}

static int allreduce(comm *self, device_stream *stream, void *buffer, size_t count, dtype type,
                     reduction how, comm_work *work, ls_error *error) {
    const comm_call call = {.name = "allreduce",
                            .bytes = bytes_of((int64_t)count, type),
                            .make = make_allreduce,
                            .buffer = buffer,
                            .count = count,
                            .type = type,
                            .how = how};
    return around(self, stream, &call, work, error);
}

static int make_reduce_scatter(const comm_call *call, comm *to, device_stream *stream,
                               comm_work *work, ls_error *error) {
    return to->is->reduce_scatter(to, stream, call->buffer, call->counts, call->type, call->how,
                                  work, error);
}

static int reduce_scatter(comm *self, device_stream *stream, void *buffer, const int64_t *counts,
                          dtype type, reduction how, comm_work *work, ls_error *error) {
    const comm_call call = {.name = "reduce_scatter",
                            .bytes = bytes_of(sum(self, counts), type),
                            .make = make_reduce_scatter,
                            .buffer = buffer,
                            .counts = counts,
                            .type = type,
                            .how = how};
    return around(self, stream, &call, work, error);
}

static int make_allgather(const comm_call *call, comm *to, device_stream *stream, comm_work *work,
                          ls_error *error) {
    return to->is->allgather(to, stream, call->buffer, call->counts, call->type, work, error);
}

static int allgather(comm *self, device_stream *stream, void *buffer, const int64_t *counts,
                     dtype type, comm_work *work, ls_error *error) {
    const comm_call call = {.name = "allgather",
                            .bytes = bytes_of(sum(self, counts), type),
                            .make = make_allgather,
                            .buffer = buffer,
                            .counts = counts,
                            .type = type};
    return around(self, stream, &call, work, error);
}

static int make_broadcast(const comm_call *call, comm *to, device_stream *stream, comm_work *work,
                          ls_error *error) {
    return to->is->broadcast(to, stream, call->buffer, call->count, call->type, call->root, work,
                             error);
}

static int broadcast(comm *self, device_stream *stream, void *buffer, size_t count, dtype type,
                     int root, comm_work *work, ls_error *error) {
    const comm_call call = {.name = "broadcast",
                            .bytes = bytes_of((int64_t)count, type),
                            .make = make_broadcast,
                            .buffer = buffer,
                            .count = count,
                            .type = type,
                            .root = root};
    return around(self, stream, &call, work, error);
}

static int make_reduce(const comm_call *call, comm *to, device_stream *stream, comm_work *work,
                       ls_error *error) {
    return to->is->reduce(to, stream, call->buffer, call->count, call->type, call->how, call->root,
                          work, error);
}

static int reduce(comm *self, device_stream *stream, void *buffer, size_t count, dtype type,
                  reduction how, int root, comm_work *work, ls_error *error) {
    const comm_call call = {.name = "reduce",
                            .bytes = bytes_of((int64_t)count, type),
                            .make = make_reduce,
                            .buffer = buffer,
                            .count = count,
                            .type = type,
                            .how = how,
                            .root = root};
    return around(self, stream, &call, work, error);
}

static int make_scatter(const comm_call *call, comm *to, device_stream *stream, comm_work *work,
                        ls_error *error) {
    return to->is->scatter(to, stream, call->from, call->buffer, call->counts, call->type,
                           call->root, work, error);
}

static int scatter(comm *self, device_stream *stream, const void *whole, void *part,
                   const int64_t *counts, dtype type, int root, comm_work *work, ls_error *error) {
    const comm_call call = {.name = "scatter",
                            .bytes = bytes_of(moved(self, counts, root), type),
                            .make = make_scatter,
                            .from = whole,
                            .buffer = part,
                            .counts = counts,
                            .type = type,
                            .root = root};
    return around(self, stream, &call, work, error);
}

static int make_gather(const comm_call *call, comm *to, device_stream *stream, comm_work *work,
                       ls_error *error) {
    return to->is->gather(to, stream, call->from, call->buffer, call->counts, call->type,
                          call->root, work, error);
}

static int gather(comm *self, device_stream *stream, const void *part, void *whole,
                  const int64_t *counts, dtype type, int root, comm_work *work, ls_error *error) {
    const comm_call call = {.name = "gather",
                            .bytes = bytes_of(moved(self, counts, root), type),
                            .make = make_gather,
                            .from = part,
                            .buffer = whole,
                            .counts = counts,
                            .type = type,
                            .root = root};
    return around(self, stream, &call, work, error);
}

static int make_sum_tree(const comm_call *call, comm *to, device_stream *stream, comm_work *work,
                         ls_error *error) {
    return to->is->sum_tree(to, stream, call->buffer, call->count, call->rows, call->stride,
                            call->type, work, error);
}

static int sum_tree(comm *self, device_stream *stream, void *buffer, size_t count, int rows,
                    size_t stride, dtype type, comm_work *work, ls_error *error) {
    const comm_call call = {.name = "sum_tree",
                            .bytes = bytes_of((int64_t)count, type),
                            .make = make_sum_tree,
                            .buffer = buffer,
                            .count = count,
                            .rows = rows,
                            .stride = stride,
                            .type = type};
    return around(self, stream, &call, work, error);
}

static int make_offer(const comm_call *call, comm *to, device_stream *stream, comm_work *work,
                      ls_error *error) {
    return to->is->offer(to, stream, call->buffer, call->count, work, error);
}

static int offer(comm *self, device_stream *stream, void *buffer, size_t bytes, comm_work *work,
                 ls_error *error) {
    const comm_call call = {.name = "offer",
                            .bytes = (int64_t)bytes,
                            .make = make_offer,
                            .buffer = buffer,
                            .count = bytes};
    return around(self, stream, &call, work, error);
}

/* ---- the rest */

static int allocate(comm *base, size_t bytes, const char *what, void **out, ls_error *error) {
    comm *inner = comm_inner(base);
    int status = inner->is->allocate(inner, bytes, what, out, error);
    memcpy(base->note, inner->note, sizeof base->note);
    return status;
}

static int allocate_common(comm *base, size_t bytes, void **out, ls_error *error) {
    comm *inner = comm_inner(base);
    return inner->is->allocate_common(inner, bytes, out, error);
}

static void release(comm *base, void *memory) {
    comm *inner = comm_inner(base);
    inner->is->release(inner, memory);
}

static const void *peer(const comm *base, const void *memory, int rank) {
    const comm *inner = ((const comm_wrapper *)base)->inner;
    return inner->is->peer(inner, memory, rank);
}

static void close_both(comm *base) {
    comm_close(comm_inner(base));
    free(base);
}

void comm_wrap(comm_wrapper *self, comm *inner, const comm_wrapping *how) {
    self->interface = (comm_interface){
        .name = inner->is->name,
        .capturable = inner->is->capturable,
        .allreduce = allreduce,
        .reduce_scatter = reduce_scatter,
        .allgather = allgather,
        .broadcast = broadcast,
        .reduce = reduce,
        .scatter = scatter,
        .gather = gather,
        .sum_tree = sum_tree,
        .offer = inner->is->offer ? offer : NULL,
        .peer = inner->is->peer ? peer : NULL,
        .allocate = allocate,
        .allocate_common = inner->is->allocate_common ? allocate_common : NULL,
        .release = release,
        .barrier = how->barrier,
        .progress = how->progress,
        .wait = how->wait,
        .is_done = how->is_done,
        .close = close_both,
    };
    self->base = *inner;
    self->base.is = &self->interface;
    self->inner = inner;
    self->around = how->around;
}
