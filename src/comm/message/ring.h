/* Ring collectives that a single thread advances between its other work: reduce-scatter and
 * all-gather around the ring of ranks (Patarasuk and Yuan, "Bandwidth optimal all-reduce
 * algorithms for clusters of workstations", 2009), in chunks, by MPI_Isend, MPI_Irecv and
 * MPI_Test. Open MPI's own MPI_Iallreduce takes 2.6 times as long as its blocking one.
 *
 * A chunk is below Open MPI's eager limit for TCP (btl_tcp_eager_limit, 65536 bytes with its
 * header). A larger one is sent after a word from the receiver, and on a slow link that word stands
 * behind all that the receiver itself has in flight: at 0.2 Gbit/s chunks of 256 KiB moved 14.5
 * to 15.5 MB/s each way, or by luck 24, chunks of 60 KiB always 24 (bare link: 25).
 *
 * Each element is summed once, along the ring, in an order that depends on nothing but its
 * position, the counts and the number of ranks; the sum is then copied to all: the same bits on
 * every rank and in every run. */
#ifndef LOCKSTEP_COMM_MESSAGE_RING_H
#define LOCKSTEP_COMM_MESSAGE_RING_H

#include "comm/comm.h"

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RING_WINDOW = 16, RING_CHUNK_BYTES = 60 * 1024 };

typedef struct ring {
    MPI_Comm comm;
    int rank, size, tag; /* place in the ring, places in it */
    const int *ranks;    /* [size]: who stands there; NULL: the rank of that number */
    char *buffer;
    int64_t *first; /* [size + 1]: where each rank's block starts, in elements */
    char *scratch;  /* RING_WINDOW chunks: what arrives before it is reduced */
    dtype type;
    reduction how;
    /* Transfer t is chunk t % chunks of step t / chunks; each rank sends and receives all. */
    int64_t chunks, steps, reducing_steps, transfers;
    int64_t send_posted, send_done, receive_posted, receive_done;
    MPI_Request sends[RING_WINDOW], receives[RING_WINDOW];
} ring;

/* The storage that a ring needs, for its lifetime: counts for `size` ranks and scratch. `rank` and
 * `size` are the comm's. */
int ring_allocate(ring *self, MPI_Comm comm, int rank, int size, ls_error *error);
void ring_release(ring *self);

/* Before each ring_begin: this rank's place among `size` places, at most as many as were allocated
 * for. ranks[place] stands there; NULL: the rank of that number. */
void ring_stand(ring *self, int place, int size, const int *ranks);

/* Begins a collective on blocks of first[r] .. first[r + 1] (filled by the caller): reduce, so
 * that each rank's own block is the reduction; gather, so that every rank has every block. All
 * ranks of a ring begin the same ones with the same tags. */
void ring_begin(ring *self, int tag, void *buffer, dtype type, reduction how, bool reduce,
                bool gather);

/* Does what can be done now. *done when the collective is complete on this rank. */
int ring_advance(ring *self, bool *done, ls_error *error);

#endif
