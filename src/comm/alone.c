/* The comm of one rank: every reduction is the value itself; scatter and gather copy. */
#include "comm/comm_implementations.h"
#include "comm/tree.h"
#include "device/device.h"

#include <stdlib.h>
#include <string.h>

typedef struct alone_comm {
    comm base;
    device *device; /* NULL: host memory */
} alone_comm;

static int alone_allreduce(comm *self, device_stream *stream, void *buffer, size_t count,
                           dtype type, reduction how, comm_work *work, ls_error *error) {
    (void)self, (void)stream, (void)buffer, (void)count, (void)type, (void)how, (void)error;
    work->handle = NULL;
    return LS_OK;
}

static int alone_reduce_scatter(comm *self, device_stream *stream, void *buffer,
                                const int64_t *counts, dtype type, reduction how, comm_work *work,
                                ls_error *error) {
    (void)self, (void)stream, (void)buffer, (void)counts, (void)type, (void)how, (void)error;
    work->handle = NULL;
    return LS_OK;
}

static int alone_allgather(comm *self, device_stream *stream, void *buffer, const int64_t *counts,
                           dtype type, comm_work *work, ls_error *error) {
    (void)self, (void)stream, (void)buffer, (void)counts, (void)type, (void)error;
    work->handle = NULL;
    return LS_OK;
}

static int alone_broadcast(comm *self, device_stream *stream, void *buffer, size_t count,
                           dtype type, int root, comm_work *work, ls_error *error) {
    (void)self, (void)stream, (void)buffer, (void)count, (void)type, (void)root, (void)error;
    work->handle = NULL;
    return LS_OK;
}

static int alone_reduce(comm *self, device_stream *stream, void *buffer, size_t count, dtype type,
                        reduction how, int root, comm_work *work, ls_error *error) {
    (void)self, (void)stream, (void)buffer, (void)count, (void)type, (void)how, (void)root;
    (void)error;
    work->handle = NULL;
    return LS_OK;
}

static int copy_part(comm *self, device_stream *stream, const void *from, void *to, int64_t count,
                     dtype type, comm_work *work, ls_error *error) {
    device *device = ((alone_comm *)self)->device;
    size_t bytes = (size_t)count * dtype_bytes(type);
    work->handle = NULL;
    if (count <= 0 || from == to)
        return LS_OK;
    if (stream && device)
        return device->is->copy(device, stream, to, from, bytes, COPY_ON_DEVICE, error);
    memmove(to, from, bytes);
    return LS_OK;
}

static int alone_scatter(comm *self, device_stream *stream, const void *whole, void *part,
                         const int64_t *counts, dtype type, int root, comm_work *work,
                         ls_error *error) {
    (void)root;
    return copy_part(self, stream, whole, part, counts[0], type, work, error);
}

static int alone_gather(comm *self, device_stream *stream, const void *part, void *whole,
                        const int64_t *counts, dtype type, int root, comm_work *work,
                        ls_error *error) {
    (void)root;
    return copy_part(self, stream, part, whole, counts[0], type, work, error);
}

static int alone_sum_tree(comm *self, device_stream *stream, void *buffer, size_t count, int rows,
                          size_t stride, dtype type, comm_work *work, ls_error *error) {
    device *device = ((alone_comm *)self)->device;
    work->handle = NULL;
    if (stream && device && type == DTYPE_F32)
        return tree_sum_rows_on(device, stream, buffer, rows, stride, count, error);
    tree_sum_rows(buffer, rows, stride, count, type);
    return LS_OK;
}

static int alone_barrier(comm *self, ls_error *error) {
    (void)self, (void)error;
    return LS_OK;
}

static int alone_allocate(comm *self, size_t bytes, const char *what, void **out, ls_error *error) {
    return comm_plain_allocate(((alone_comm *)self)->device, bytes, what, out, error);
}

static void alone_release(comm *self, void *memory) {
    comm_plain_release(((alone_comm *)self)->device, memory);
}

static int alone_progress(comm *self, ls_error *error) {
    (void)self, (void)error;
    return LS_OK;
}

static int alone_wait(comm *self, device_stream *stream, comm_work *work, ls_error *error) {
    (void)self, (void)stream, (void)work, (void)error;
    return LS_OK;
}

static void alone_close(comm *self) {
    free(self);
}

static const comm_interface alone_interface = {
    .name = "alone",
    .capturable = true,
    .allreduce = alone_allreduce,
    .reduce_scatter = alone_reduce_scatter,
    .allgather = alone_allgather,
    .broadcast = alone_broadcast,
    .reduce = alone_reduce,
    .scatter = alone_scatter,
    .gather = alone_gather,
    .barrier = alone_barrier,
    .sum_tree = alone_sum_tree,
    .allocate = alone_allocate,
    .release = alone_release,
    .progress = alone_progress,
    .wait = alone_wait,
    .close = alone_close,
};

int comm_alone_open(const comm_settings *settings, comm **out, ls_error *error) {
    if (settings->size != 1 || settings->rank != 0)
        return ls_fail(error, LS_BAD_LAUNCH, "--comm alone: expected one rank, found %d",
                       settings->size);
    alone_comm *self = malloc(sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "no memory for the alone comm");
    *self = (alone_comm){.base = {.is = &alone_interface, .size = 1}, .device = settings->device};
    *out = &self->base;
    return LS_OK;
}
