/* A comm that stands before another: what its wrappers (ablated.c, trace/comm.c) have in common. */
#ifndef LOCKSTEP_COMM_WRAPPER_H
#define LOCKSTEP_COMM_WRAPPER_H

#include "comm/comm.h"

/* The first member of a wrapper, which is one block of malloc's. */
typedef struct comm_wrapper {
    comm base;
    comm_interface interface;
    comm *inner;
} comm_wrapper;

static inline comm *comm_inner(comm *wrapper) {
    return ((comm_wrapper *)wrapper)->inner;
}

/* `calls` has the members that the wrapper changes: the collectives, barrier, progress, wait and
 * is_done. Its offer is left out where inner has none. The rest
 * is inner's: its name, whether its calls can be recorded, its memory (with the note that
 * allocating may leave) and where the other ranks' lies. Closing the wrapper closes inner and frees
 * the wrapper. */
void comm_wrap(comm_wrapper *self, comm *inner, const comm_interface *calls);

#endif
