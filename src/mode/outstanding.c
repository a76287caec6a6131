#include "mode/outstanding.h"

static bool is_busy(void *context) {
    const outstanding *self = context;
    for (int at = 0; at < self->count; at++) {
        const comm_work *work = self->works[(self->first + at) % OUTSTANDING_MOST].work;
        if (!comm_is_done(self->comm, work))
            return true;
    }
    return false;
}

int outstanding_start_pump(outstanding *self, ls_error *error) {
    return pump_start(self->comm, is_busy, self, &self->pump, error);
}

static int hold(outstanding *self, ls_error *error) {
    pump_hold(self->pump);
    return pump_check(self->pump, error);
}

static int let_go(outstanding *self, int status) {
    pump_let_go(self->pump);
    return status;
}

static int make_room(outstanding *self, ls_error *error) {
    if (self->count < OUTSTANDING_MOST)
        return LS_OK;
    outstanding_work oldest = self->works[self->first];
    self->first = (self->first + 1) % OUTSTANDING_MOST;
    self->count--;
    return self->comm->is->wait(self->comm, oldest.stream, oldest.work, error);
}

static void add(outstanding *self, comm_work *work, device_stream *reader) {
    self->works[(self->first + self->count++) % OUTSTANDING_MOST] =
        (outstanding_work){work, reader};
}

int outstanding_allreduce(outstanding *self, void *buffer, size_t count, dtype type, reduction how,
                          device_stream *reader, comm_work *work, ls_error *error) {
    int status = hold(self, error);
    if (status == LS_OK)
        status = make_room(self, error);
    if (status == LS_OK)
        status = self->comm->is->allreduce(self->comm, self->stream, buffer, count, type, how, work,
                                           error);
    if (status == LS_OK)
        add(self, work, reader);
    return let_go(self, status);
}

int outstanding_allreduce_now(outstanding *self, void *buffer, size_t count, dtype type,
                              reduction how, ls_error *error) {
    comm_work work = {0};
    int status = hold(self, error);
    if (status == LS_OK)
        status = make_room(self, error);
    if (status == LS_OK)
        status = self->comm->is->allreduce(self->comm, self->stream, buffer, count, type, how,
                                           &work, error);
    if (status == LS_OK)
        status = self->comm->is->wait(self->comm, self->stream, &work, error);
    return let_go(self, status);
}

int outstanding_reduce_scatter(outstanding *self, void *buffer, const int64_t *counts, dtype type,
                               reduction how, device_stream *reader, comm_work *work,
                               ls_error *error) {
    int status = hold(self, error);
    if (status == LS_OK)
        status = make_room(self, error);
    if (status == LS_OK)
        status = self->comm->is->reduce_scatter(self->comm, self->stream, buffer, counts, type, how,
                                                work, error);
    if (status == LS_OK)
        add(self, work, reader);
    return let_go(self, status);
}

int outstanding_allgather(outstanding *self, device_stream *behind, void *buffer,
                          const int64_t *counts, dtype type, device_stream *reader, comm_work *work,
                          ls_error *error) {
    int status = hold(self, error);
    if (status == LS_OK)
        status = make_room(self, error);
    if (status == LS_OK)
        status = self->comm->is->allgather(self->comm, behind, buffer, counts, type, work, error);
    if (status == LS_OK)
        add(self, work, reader);
    return let_go(self, status);
}

int outstanding_sum_tree(outstanding *self, float *rows, size_t count, int row_count, size_t stride,
                         device_stream *reader, comm_work *work, ls_error *error) {
    int status = hold(self, error);
    if (status == LS_OK)
        status = make_room(self, error);
    if (status == LS_OK)
        status = self->comm->is->sum_tree(self->comm, self->stream, rows, count, row_count, stride,
                                          DTYPE_F32, work, error);
    if (status == LS_OK)
        add(self, work, reader);
    return let_go(self, status);
}

int outstanding_offer(outstanding *self, void *buffer, size_t bytes, device_stream *reader,
                      comm_work *work, ls_error *error) {
    int status = hold(self, error);
    if (status == LS_OK)
        status = make_room(self, error);
    if (status == LS_OK)
        status = self->comm->is->offer(self->comm, self->stream, buffer, bytes, work, error);
    if (status == LS_OK)
        add(self, work, reader);
    return let_go(self, status);
}

/* What was waited for is outstanding no more, and its handle may be another collective's soon. */
static void drop(outstanding *self, const comm_work *work) {
    int kept = 0;
    for (int at = 0; at < self->count; at++) {
        outstanding_work each = self->works[(self->first + at) % OUTSTANDING_MOST];
        if (each.work != work)
            self->works[(self->first + kept++) % OUTSTANDING_MOST] = each;
    }
    self->count = kept;
}

int outstanding_wait(outstanding *self, comm_work *work, device_stream *reader, ls_error *error) {
    int status = hold(self, error);
    if (status == LS_OK)
        status = self->comm->is->wait(self->comm, reader, work, error);
    drop(self, work);
    return let_go(self, status);
}

int outstanding_progress(outstanding *self, ls_error *error) {
    int status = hold(self, error);
    if (status == LS_OK)
        status = self->comm->is->progress(self->comm, error);
    return let_go(self, status);
}

void outstanding_clear(outstanding *self) {
    pump_hold(self->pump);
    self->first = self->count = 0;
    pump_let_go(self->pump);
}
