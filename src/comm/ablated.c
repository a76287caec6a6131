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

static int around(comm *base, device_stream *stream, const comm_call *call, comm_work *work,
                  ls_error *error) {
    if (!of(base)->ablated)
        return comm_call_make(call, comm_inner(base), stream, work, error);
    work->handle = NULL;
    return LS_OK;
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
    static const comm_wrapping how = {.around = around,
                                      .barrier = barrier,
                                      .progress = progress,
                                      .wait = wait,
                                      .is_done = is_done};
    ablated_comm *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "no memory for the ablated comm");
    comm_wrap(&self->wrapper, inner, &how);
    *out = &self->wrapper.base;
    return LS_OK;
}

void comm_ablate(comm *self) {
    of(self)->ablated = true;
}
