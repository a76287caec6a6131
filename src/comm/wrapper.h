/* A comm that stands before another: what its wrappers (ablated.c, trace/comm.c) have in common.
 * All its collectives go through one function of the wrapper's. */
#ifndef LOCKSTEP_COMM_WRAPPER_H
#define LOCKSTEP_COMM_WRAPPER_H

#include "comm/comm.h"

/* A call of a collective of comm_interface, whichever it is: its arguments, of which each
 * collective has some. Valid during the call. */
typedef struct comm_call {
    const char *name; /* "allreduce" */
    int64_t bytes;    /* that it is about: all ranks' parts; of a scatter or gather, what this rank
                       * sends or gets */
    int (*make)(const struct comm_call *call, comm *to, device_stream *stream, comm_work *work,
                ls_error *error);
    void *buffer;
    const void *from; /* scatter, gather */
    const int64_t *counts;
    size_t count, stride; /* count: of an offer, bytes */
    dtype type;
    reduction how;
    int root, rows;
} comm_call;

/* Makes the call on another comm, as it is. */
static inline int comm_call_make(const comm_call *call, comm *to, device_stream *stream,
                                 comm_work *work, ls_error *error) {
    return call->make(call, to, stream, work, error);
}

/* The first member of a wrapper, which is one block of malloc's. */
typedef struct comm_wrapper {
    comm base;
    comm_interface interface;
    comm *inner;
    int (*around)(comm *wrapper, device_stream *stream, const comm_call *call, comm_work *work,
                  ls_error *error);
} comm_wrapper;

static inline comm *comm_inner(comm *wrapper) {
    return ((comm_wrapper *)wrapper)->inner;
}

/* What a wrapper changes. */
typedef struct comm_wrapping {
    int (*around)(comm *wrapper, device_stream *stream, const comm_call *call, comm_work *work,
                  ls_error *error); /* makes the call on inner, or does not */
    /* As in comm_interface. */
    int (*barrier)(comm *self, ls_error *error);
    int (*progress)(comm *self, ls_error *error);
    int (*wait)(comm *self, device_stream *stream, comm_work *work, ls_error *error);
    bool (*is_done)(const comm *self, const comm_work *work);
} comm_wrapping;

/* The rest is inner's: its name, whether its calls can be recorded, whether it has an offer, its
 * memory (with the note that allocating may leave) and where the other ranks' lies. Closing the
 * wrapper closes inner and frees the wrapper. */
void comm_wrap(comm_wrapper *self, comm *inner, const comm_wrapping *how);

#endif
