/* Collectives inside a node, in memory that its ranks have in common (node_memory.h). A buffer that
 * node_allocate gave is cut into a part a rank. When all ranks' inputs are in place, each rank
 * reads its part of all their buffers, and puts the result into all of them (the shared-memory
 * reduce-scatter and all-gather of Graham and Shipman, "MPI support for multi-core architectures:
 * optimized shared memory collectives", 2008, in one pass): an element is read once from each
 * buffer and written once to each, where messages would copy it before and after.
 *
 * Over several nodes with as many ranks each, a rank reduces its part inside the node, then in the
 * ring (ring.c) of the ranks that have the same part on the other nodes, and puts the result into
 * the buffers of its node: each node's data crosses its link once, in as many rings as it has
 * ranks. Where the nodes have unlike numbers of ranks, all ranks take the plain ring.
 *
 * An element is summed in the order of the ranks of a node, then along the ring of nodes: the same
 * bits on every rank and in every run of the same shape. A sum in the fixed tree has its own order:
 * it goes this way where a node's ranks are a subtree, and between the nodes pairwise. Ranks tell
 * each other how far they are by two counters each in shared memory: no call of the system, and
 * none of MPI inside a node. */
#ifndef LOCKSTEP_COMM_NODE_NODE_H
#define LOCKSTEP_COMM_NODE_NODE_H

#include "comm/comm.h"
#include "comm/message/pairwise.h"
#include "comm/message/ring.h"
#include "comm/node/node_memory.h"

#include <stdbool.h>

enum { NODE_CALLS = 32 }; /* outstanding at once, at most */

typedef struct node node;

/* Finds who shares this node. Collective over `over`, which must take host memory and outlive it.
 * `host`: the node's name. */
int node_open(comm *over, const char *host, node **out, ls_error *error);
void node_close(node *self); /* NULL is fine; releases all memory */

/* Zero-filled memory, aligned to a page, that the node's other ranks map. Collective. *out NULL:
 * there is none, and `why` says why, or is "" where no node has two ranks. */
int node_allocate(node *self, size_t bytes, void **out, char why[NODE_WHY], ls_error *error);
/* comm.h's: one memory for all ranks, where they are on one node. */
int node_allocate_common(node *self, size_t bytes, void **out, ls_error *error);
/* False: not memory of these. */
bool node_release(node *self, void *memory);

/* What a rank does with its part. */
typedef struct node_plan {
    bool offers;  /* nothing is moved: all ranks' buffers are there to be read, on one node */
    bool reduces; /* else its own buffer's part is the result already */
    int receiver; /* rank whose buffer gets the result; NODE_ALL: all; NODE_NONE: only the own */
    dtype type;
    reduction how;
    const int64_t *counts; /* [all ranks]: the parts; NULL: `count` in equal parts */
    size_t count;
    int rows; /* of a sum in the fixed tree (comm/tree.h), `stride` elements apart; 0: it is none */
    size_t stride;
} node_plan;
enum { NODE_ALL = -1, NODE_NONE = -2 };

typedef enum { NODE_GATHERS, NODE_CROSSES, NODE_TELLS, NODE_LEAVES } node_phase;

/* A collective that has begun. */
typedef struct node_call {
    node_phase phase;
    uint64_t number; /* of the node's collectives */
    int block;       /* the memory */
    size_t offset;
    node_plan plan;
    int64_t first, end; /* the own part, in elements */
    ring *ring;         /* between the nodes */
    pairwise *pairwise; /* the same, of a tree's sum */
    int tag;
} node_call;

/* Where `rank`'s part of node_allocate's memory lies; NULL where it is no such memory, or the ranks
 * are on several nodes. */
const void *node_peer(const node *self, const void *memory, int rank);

/* True where the call can go through the node: not empty, on memory of node_allocate, and, over
 * several nodes, a reduction in equal parts; of a tree's sum, with a subtree on each. The same on
 * all ranks. */
bool node_takes(const node *self, const void *buffer, const node_plan *plan);

/* This rank's input is in place; node_takes said yes. `ring` (allocated for all ranks) and `tag`
 * are the call's own; all ranks begin the same calls in the same order. */
void node_begin(node *self, node_call *call, void *buffer, const node_plan *plan, ring *ring,
                int tag);

/* Does what can be done now, on the calls in the order in which they began. *done when this rank's
 * buffer holds the result and no other rank needs it any more. */
int node_advance(node *self, node_call *call, bool *done, ls_error *error);

#endif
