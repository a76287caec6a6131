/* What the clocks around a collective share: link.c (alone, and behind others) and link_overlap.c
 * (beside computing), link_within.c (within a time). */
#ifndef LOCKSTEP_COMM_LINK_LINK_TIMING_H
#define LOCKSTEP_COMM_LINK_LINK_TIMING_H

#include "comm/link/link.h"

#include <stdint.h>

/* A call is repeated for half a second, but this often at most; the buffer is walked through, so
 * that a call finds its bytes where this rank has just written them, and nothing of the one before.
 */
enum { LINK_MOST_CALLS = 31, FEWEST_CALLS = 3, WARM_CALLS = 2 };

typedef struct timed_call {
    const link_probe *probe;
    link_call call;
    dtype type;
    size_t bytes;    /* rounded down to whole elements, at least one a rank */
    int64_t *counts; /* all-gather: [ranks] */
    int places;
    void *memory; /* `places` times `bytes`; the probe's room where it has one */
} timed_call;

/* Closed in either case. */
int timed_open(timed_call *self, const link_probe *probe, link_call call, dtype type, size_t bytes,
               ls_error *error);
void timed_close(timed_call *self);
/* The buffers of calls [first, first + count) are written; then all ranks begin together. */
int timed_make_ready(const timed_call *self, int first, int count, ls_error *error);
int timed_begin(const timed_call *self, int number, comm_work *work, ls_error *error);
int timed_wait(const timed_call *self, comm_work *work, ls_error *error);
/* One call, by itself. */
int timed_alone(const timed_call *self, int number, double *seconds, ls_error *error);

/* How often a call of this duration is made within a size's time (SECONDS_A_SIZE), of which `made`
 * calls have taken their part: the same on all ranks, whose durations differ. */
#define SECONDS_A_SIZE 0.5
int timed_choose_count(comm *control, double seconds, double seconds_a_size, int made, int *calls,
                       ls_error *error);
/* Sorts the times; their median, and half of what lies between their quartiles. */
void timed_sort(double *values, int count, double *middle, double *spread);
/* The slowest rank of each call, sorted; then the median, the same bits everywhere. */
int timed_agree_on_median(comm *control, double *values, int count, double *out, ls_error *error);

#endif
