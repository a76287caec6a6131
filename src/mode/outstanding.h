/* The collectives that a mode has begun and not waited for: every call of the comm while a step
 * goes on is made here. What a comm holds at once is bounded (and no network is faster with more):
 * beyond that the oldest is waited for first. With a pump a thread moves them on meanwhile. */
#ifndef LOCKSTEP_MODE_OUTSTANDING_H
#define LOCKSTEP_MODE_OUTSTANDING_H

#include "comm/comm.h"
#include "comm/link/pump.h"

enum { OUTSTANDING_MOST = 16 };

typedef struct outstanding_work {
    comm_work *work;
    device_stream *stream; /* where it will be waited for */
} outstanding_work;

typedef struct outstanding {
    comm *comm;
    device_stream *stream;
    pump *pump;                               /* NULL: only the mode's own calls move them on */
    outstanding_work works[OUTSTANDING_MOST]; /* a ring, oldest at `first` */
    int first, count;
} outstanding;

/* Until pump_stop(pump); `self` stays where it is. */
int outstanding_start_pump(outstanding *self, ls_error *error);

/* As the comm's; behind what `stream` holds (an all-gather: what `behind` does). `work` stays where
 * it is until the next outstanding_clear; `reader`: the stream in which it will be waited for. */
int outstanding_allreduce(outstanding *self, void *buffer, size_t count, dtype type, reduction how,
                          device_stream *reader, comm_work *work, ls_error *error);
int outstanding_reduce_scatter(outstanding *self, void *buffer, const int64_t *counts, dtype type,
                               reduction how, device_stream *reader, comm_work *work,
                               ls_error *error);
int outstanding_allgather(outstanding *self, device_stream *behind, void *buffer,
                          const int64_t *counts, dtype type, device_stream *reader, comm_work *work,
                          ls_error *error);
int outstanding_sum_tree(outstanding *self, float *rows, size_t count, int row_count, size_t stride,
                         device_stream *reader, comm_work *work, ls_error *error);
int outstanding_offer(outstanding *self, void *buffer, size_t bytes, device_stream *reader,
                      comm_work *work, ls_error *error);
/* At once: done when it returns. */
int outstanding_allreduce_now(outstanding *self, void *buffer, size_t count, dtype type,
                              reduction how, ls_error *error);
int outstanding_wait(outstanding *self, comm_work *work, device_stream *reader, ls_error *error);
int outstanding_progress(outstanding *self, ls_error *error);
/* All have been waited for. */
void outstanding_clear(outstanding *self);

#endif
