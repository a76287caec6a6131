/* What the files of the node's collectives share: who is where, what is mapped, and the counters.
 */
#ifndef LOCKSTEP_COMM_NODE_NODE_PARTS_H
#define LOCKSTEP_COMM_NODE_NODE_PARTS_H

#include "comm/node/node.h"

#include <stdatomic.h>
#include <stdint.h>

enum {
    NODE_LINE = 64,
    NODE_SCRATCH = 16 * 1024
}; /* bytes: of a cache line; that stay in a cache */

/* One rank's word to the others of its node, in shared memory; only that rank writes it. A counter
 * has a cache line of its own. */
typedef struct node_board {
    _Alignas(NODE_LINE) _Atomic uint64_t ready; /* calls whose input is in place, or older */
    _Alignas(NODE_LINE) _Atomic uint64_t done;  /* calls whose part is where it belongs, or older */
    /* Call n's buffer is in places[n % NODE_CALLS]: the ranks' must be the same. */
    _Alignas(NODE_LINE) struct { uint64_t block, offset; } places[NODE_CALLS];
} node_board;

struct node {
    node_group group;
    int node_count, my_node; /* nodes in the order of their lowest ranks */
    int *column;             /* [node_count]: the rank of each node that has this rank's part */
    int most;                /* ranks of the largest node */
    bool alike;              /* every node has as many */
    bool subtrees;           /* a power of two of them, and ranks that follow each other */
    node_block board;        /* parts NULL: not made yet */
    node_block *blocks;      /* [block_count]: a released one keeps its number */
    int block_count;
    uint64_t begun;
    char *scratch; /* NODE_SCRATCH */
};

#endif
