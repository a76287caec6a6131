/* Memory that the ranks of a node have in common: each rank owns a block, and the others map it
 * too. A block is an anonymous file (memfd_create), which the others open through /proc/PID/fd: it
 * has no name that could stay behind and no limit of a mounted file system, and is gone with the
 * last process that maps it. Huge pages are wished for; many kernels give files none, which costs
 * passes over the memory a few percent. */
#ifndef LOCKSTEP_COMM_NODE_NODE_MEMORY_H
#define LOCKSTEP_COMM_NODE_NODE_MEMORY_H

#include "comm/comm.h"

#include <stddef.h>

enum { NODE_WHY = 160 };

/* Ranks that share a node. */
typedef struct node_group {
    comm *over;   /* all ranks of all nodes; on host memory, nothing outstanding */
    int count;    /* ranks here */
    int mine;     /* this rank's place among them */
    int first;    /* the lowest */
    int *members; /* [count]: their ranks, ascending */
} node_group;

typedef struct node_block {
    size_t bytes;  /* of each rank's */
    size_t mapped; /* of each, in pages */
    char **parts;  /* [count]: each rank's as this process sees it, zero-filled; [mine]: the own */
} node_block;

/* Collective over group->over: each rank brings `bytes`, the same everywhere. Where any rank of any
 * node cannot make or map one, none has any: out->parts is NULL and `why` names the first such rank
 * and the cause. LS_FAILED where the ranks cannot agree at all. */
int node_block_create(const node_group *group, size_t bytes, node_block *out, char why[NODE_WHY],
                      ls_error *error);

/* One for all of them, made by the first, whose pages are there when they are written: of the parts
 * a rank has its own alone, and all are the same memory. As above. */
int node_block_create_common(const node_group *group, size_t bytes, node_block *out,
                             char why[NODE_WHY], ls_error *error);

/* Not collective: the others keep what they map. */
void node_block_release(const node_group *group, node_block *self);

#endif
