/* All-gathers and all-reduces of a few bytes a rank in ceil(log2 R) rounds, where a ring takes R -
 * 1 and 2 (R - 1) (Bruck, Ho, Kipnis, Upfal, Weathersby, "Efficient algorithms for all-to-all
 * communications in multiport message-passing systems", 1997, section 4): in the round of distance
 * d = 1, 2, 4, ... a rank, which has the blocks of d ranks beginning with its own, gives them to
 * the rank d before it and is given those of the rank d after it. Of such a call the time is
 * latency alone; where ranks share cores a round is a turn of the scheduler.
 *
 * An all-reduce gathers all ranks' values and sums them on each rank in the order of ring.h's ring,
 * so that its bits are the ring's. */
#ifndef LOCKSTEP_COMM_MESSAGE_DISSEMINATION_H
#define LOCKSTEP_COMM_MESSAGE_DISSEMINATION_H

#include "comm/comm.h"

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of one rank, and of all of them (an all-reduce needs as much scratch), at most. */
enum { DISSEMINATION_BYTES = 512, DISSEMINATION_ALL_BYTES = 512 * 1024 };

typedef struct dissemination {
    MPI_Comm comm;
    int rank, size, tag;
    char *blocks;       /* rank r's lies at r * bytes */
    size_t bytes;       /* a rank's */
    int distance;       /* of the round that comes next, or is on its way */
    int requests_count; /* of that round; 0: it has not begun */
    MPI_Request requests[4];
    void *result; /* of an all-reduce: [count]; NULL: an all-gather */
    size_t count;
    dtype type;
    reduction how;
} dissemination;

/* blocks: [size * bytes], this rank's own in place; the result of the call. */
void dissemination_gather(dissemination *self, int tag, void *blocks, size_t bytes);

/* values: [count], this rank's, then the result. scratch: room for the values of all ranks. */
void dissemination_reduce(dissemination *self, int tag, void *values, size_t count, dtype type,
                          reduction how, void *scratch);

/* Does what can be done now. *done when the collective is complete on this rank. */
int dissemination_advance(dissemination *self, bool *done, ls_error *error);

#endif
