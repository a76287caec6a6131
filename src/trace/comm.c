/* A comm that records the collectives of another: from the call to the result, which may come long
 * before anybody waits for it. While no step is recorded it only passes calls on.
 *
 * On a device that works by itself the end is an event in a stream of the trace's own, which waits
 * for the collective: where waiting does not hold the host (capturable), right after the call, else
 * when the mode waits. On a host the end is seen after each call that makes progress. */
#include "comm/wrapper.h"
#include "trace/trace_state.h"

#include <stdlib.h>

enum { TRACED_WORKS = 64 };

typedef struct traced_work {
    comm_work inner;
    int span; /* of the row */
    bool taken, ended;
} traced_work;

typedef struct traced_comm {
    comm_wrapper wrapper;
    trace *trace;
    traced_work works[TRACED_WORKS];
} traced_comm;

static traced_comm *of(comm *base) {
    return (traced_comm *)base;
}

static bool is_asynchronous(const traced_comm *self) {
    return self->trace->device->facts.asynchronous;
}

static void end(traced_comm *self, traced_work *work, device_stream *stream) {
    trace_end(self->trace, ROW_COMMUNICATION, work->span, stream);
    work->ended = true;
}

/* What progress has brought to its end. */
static void look(traced_comm *self) {
    for (int index = 0; index < TRACED_WORKS; index++) {
        traced_work *work = &self->works[index];
        if (work->taken && !work->ended && comm_is_done(self->wrapper.inner, &work->inner))
            end(self, work, NULL);
    }
}

/* Before the call. NULL: this one is not recorded. */
static traced_work *take(traced_comm *self, device_stream *stream, const char *name,
                         int64_t bytes) {
    if (!atomic_load(&self->trace->active))
        return NULL;
    for (int index = 0; index < TRACED_WORKS; index++) {
        traced_work *work = &self->works[index];
        if (work->taken)
            continue;
        int span = trace_begin(self->trace, ROW_COMMUNICATION, name, stream);
        if (span < 0)
            return NULL;
        self->trace->rows[ROW_COMMUNICATION].spans[span].bytes = bytes;
        *work = (traced_work){.span = span, .taken = true};
        return work;
    }
    self->trace->lost++;
    return NULL;
}

/* The inner comm ends `work`, seen from the trace's stream. */
static int follow(traced_comm *self, traced_work *work, ls_error *error) {
    comm *inner = self->wrapper.inner;
    LS_TRY(inner->is->wait(inner, self->trace->side, &work->inner, error));
    end(self, work, self->trace->side);
    return LS_OK;
}

/* After the call, which returned `status`. */
static int hand_out(traced_comm *self, traced_work *mine, int status, comm_work *work,
                    ls_error *error) {
    LS_TRY(status);
    if (!mine)
        return LS_OK;
    work->handle = mine;
    if (!is_asynchronous(self))
        look(self);
    else if (self->wrapper.base.is->capturable)
        return follow(self, mine, error);
    return LS_OK;
}

static int around(comm *base, device_stream *stream, const comm_call *call, comm_work *work,
                  ls_error *error) {
    traced_comm *self = of(base);
    traced_work *mine = take(self, stream, call->name, call->bytes);
    int status =
        comm_call_make(call, self->wrapper.inner, stream, mine ? &mine->inner : work, error);
    return hand_out(self, mine, status, work, error);
}

static int barrier(comm *base, ls_error *error) {
    comm *inner = comm_inner(base);
    return inner->is->barrier(inner, error);
}

static int progress(comm *base, ls_error *error) {
    traced_comm *self = of(base);
    LS_TRY(self->wrapper.inner->is->progress(self->wrapper.inner, error));
    if (!is_asynchronous(self) && atomic_load(&self->trace->active))
        look(self);
    return LS_OK;
}

/* The stream passes this point when the span's end is passed in the trace's own. */
static int wait_for_end(traced_comm *self, device_stream *stream, const traced_work *work,
                        ls_error *error) {
    device *device = self->trace->device;
    device_event *at = trace_end_event(self->trace, ROW_COMMUNICATION, work->span);
    return stream ? device->is->stream_wait_event(device, stream, at, error)
                  : device->is->event_synchronize(device, at, error);
}

static int wait_recorded(traced_comm *self, device_stream *stream, traced_work *work,
                         ls_error *error) {
    comm *inner = self->wrapper.inner;
    if (is_asynchronous(self)) {
        if (!work->ended)
            LS_TRY(follow(self, work, error));
        return wait_for_end(self, stream, work, error);
    }
    LS_TRY(inner->is->wait(inner, stream, &work->inner, error));
    if (!work->ended)
        end(self, work, stream);
    look(self); /* waiting made progress on the others too */
    return LS_OK;
}

/* NULL: the inner comm's own. */
static traced_work *recorded(traced_comm *self, const comm_work *work) {
    traced_work *mine = work->handle;
    return mine < self->works || mine >= self->works + TRACED_WORKS ? NULL : mine;
}

static bool is_done(const comm *base, const comm_work *work) {
    const traced_comm *self = (const traced_comm *)base;
    const traced_work *mine = recorded((traced_comm *)base, work);
    return comm_is_done(self->wrapper.inner, mine ? &mine->inner : work);
}

static int wait(comm *base, device_stream *stream, comm_work *work, ls_error *error) {
    traced_comm *self = of(base);
    traced_work *mine = recorded(self, work);
    if (!mine)
        return self->wrapper.inner->is->wait(self->wrapper.inner, stream, work, error);
    LS_TRY(wait_recorded(self, stream, mine, error));
    mine->taken = false;
    work->handle = NULL;
    return LS_OK;
}

int trace_comm(trace *self, comm *inner, comm **out, ls_error *error) {
    static const comm_wrapping how = {.around = around,
                                      .barrier = barrier,
                                      .progress = progress,
                                      .wait = wait,
                                      .is_done = is_done};
    traced_comm *made = calloc(1, sizeof *made);
    if (!made)
        return ls_fail(error, LS_FAILED, "out of memory");
    comm_wrap(&made->wrapper, inner, &how);
    made->trace = self;
    *out = &made->wrapper.base;
    return LS_OK;
}
