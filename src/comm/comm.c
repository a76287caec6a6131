/* What every comm offers beside its interface. */
#include "comm/comm.h"

#include <stdlib.h>
#include <string.h>

void comm_close(comm *self) {
    if (self)
        self->is->close(self);
}

static int allreduce(comm *self, void *values, size_t count, dtype type, reduction how,
                     ls_error *error) {
    comm_work work = {0};
    LS_TRY(self->is->allreduce(self, NULL, values, count, type, how, &work, error));
    return self->is->wait(self, NULL, &work, error);
}

int comm_allreduce_double(comm *self, double *values, size_t count, reduction how,
                          ls_error *error) {
    return allreduce(self, values, count, DTYPE_F64, how, error);
}

int comm_sum_tree_double(comm *self, double *values, size_t count, ls_error *error) {
    comm_work work = {0};
    LS_TRY(self->is->sum_tree(self, NULL, values, count, 1, count, DTYPE_F64, &work, error));
    return self->is->wait(self, NULL, &work, error);
}

int comm_allreduce_int64(comm *self, int64_t *values, size_t count, reduction how,
                         ls_error *error) {
    return allreduce(self, values, count, DTYPE_I64, how, error);
}

int comm_allgather_bytes(comm *self, const void *mine, void *all, size_t bytes, ls_error *error) {
    comm_work work = {0};
    int64_t *counts = malloc((size_t)self->size * sizeof *counts);
    if (!counts)
        return ls_fail(error, LS_FAILED, "no memory for an all-gather");
    for (int rank = 0; rank < self->size; rank++)
        counts[rank] = (int64_t)bytes;
    if (bytes > 0)
        memcpy((char *)all + (size_t)self->rank * bytes, mine, bytes);
    int status = self->is->allgather(self, NULL, all, counts, DTYPE_U8, &work, error);
    if (status == LS_OK)
        status = self->is->wait(self, NULL, &work, error);
    free(counts);
    return status;
}

int comm_broadcast_bytes(comm *self, void *bytes, size_t count, int root, ls_error *error) {
    comm_work work = {0};
    LS_TRY(self->is->broadcast(self, NULL, bytes, count, DTYPE_U8, root, &work, error));
    return self->is->wait(self, NULL, &work, error);
}

int comm_broadcast_text(comm *self, text_buffer *text, int root, ls_error *error) {
    int64_t length = (int64_t)text->length;
    LS_TRY(comm_broadcast_bytes(self, &length, sizeof length, root, error));
    char *bytes = calloc((size_t)length + 1, 1);
    if (!bytes)
        return ls_fail(error, LS_FAILED, "out of memory");
    if (self->rank == root && length > 0)
        memcpy(bytes, text->bytes, (size_t)length);
    int status = comm_broadcast_bytes(self, bytes, (size_t)length, root, error);
    text_free(text);
    text_add_bytes(text, bytes, (size_t)length);
    free(bytes);
    return status == LS_OK ? text_buffer_check(text, error) : status;
}
