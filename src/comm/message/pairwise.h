/* The fixed tree's sum over ranks by messages (comm/tree.h), that a single thread advances between
 * its other work. The array is cut into a block a rank. Each rank sends every other one that one's
 * block, adds up its own block's from all ranks, in the tree, and sends the sum to all: each
 * element is summed once, at one rank, and then copied, so all ranks have the same bits. As many
 * bytes travel as in recursive halving and doubling (Thakur, Rabenseifner and Gropp, "Optimization
 * of collective communication operations in MPICH", 2005), 2 (R-1)/R of the array from each rank,
 * and with two ranks the same messages; with more it needs R-1 messages each way in place of log2
 * R, but no rank waits for a partial sum of another. In chunks, several under way at once. */
#ifndef LOCKSTEP_COMM_MESSAGE_PAIRWISE_H
#define LOCKSTEP_COMM_MESSAGE_PAIRWISE_H

#include "base/dtype.h"
#include "base/error.h"

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAIRWISE_WINDOW = 4, PAIRWISE_TAGS = 2 };

typedef struct pairwise {
    MPI_Comm comm;
    int place, size, tag; /* place among `size` */
    const int *ranks;     /* [size]: who stands there; NULL: the rank of that number */
    char *buffer;
    size_t count;
    dtype type;
    char *scratch; /* a window of chunks from each other rank */
    size_t scratch_bytes;
    size_t chunk;          /* elements */
    MPI_Request *requests; /* [PAIRWISE_WINDOW][2 * size] */
    /* Chunks of the longest block: given to their owners, summed and shared, done. */
    int64_t chunks, given, summed, done;
} pairwise;

/* The storage for at most `size` ranks. `scratch` is the caller's, for the whole lifetime. */
int pairwise_allocate(pairwise *self, MPI_Comm comm, int size, char *scratch, size_t scratch_bytes,
                      ls_error *error);
void pairwise_release(pairwise *self);

/* Begins: in place, `count` elements. Uses the tags `tag` and `tag` + tags (the caller's all). */
void pairwise_begin(pairwise *self, int place, int size, const int *ranks, int tag, void *buffer,
                    size_t count, dtype type);

/* Does what can be done now. *done when the sum is in place and nothing is on its way. */
int pairwise_advance(pairwise *self, bool *done, ls_error *error);

#endif
