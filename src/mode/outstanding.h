/* The collectives that a mode has begun and not waited for. What a comm holds at once is bounded
 * (and no network is faster with more): beyond that the oldest is waited for. */
#ifndef LOCKSTEP_MODE_OUTSTANDING_H
#define LOCKSTEP_MODE_OUTSTANDING_H

#include "comm/comm.h"

enum { OUTSTANDING_MOST = 16 };

typedef struct outstanding {
    comm *comm;
    device_stream *stream;
    comm_work *works[OUTSTANDING_MOST]; /* a ring, oldest at `first` */
    int first, count;
} outstanding;

/* Room for one more: waits for the oldest where there is none. Before a collective begins. */
int outstanding_make_room(outstanding *self, ls_error *error);
/* `work` has begun; it stays where it is until the next outstanding_clear. */
void outstanding_add(outstanding *self, comm_work *work);
/* All have been waited for. */
void outstanding_clear(outstanding *self);

#endif
