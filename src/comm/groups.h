/* Ranks in groups, of as many ranks each: those of a node, or so many that follow each other. What
 * is sharded is cut over the ranks of a group, and each group has a copy of all of it. */
#ifndef LOCKSTEP_COMM_GROUPS_H
#define LOCKSTEP_COMM_GROUPS_H

#include "comm/comm.h"

typedef struct comm_groups {
    int count, size; /* groups, in the order of their lowest ranks; ranks of each */
    int mine, place; /* this rank's group, and its place among that group's ranks */
    int *of;         /* [all ranks]: each rank's group */
} comm_groups;

/* "world", "node" or a number of ranks, at least 1: LS_BAD_INPUT with what else was found. */
int comm_groups_check(const char *within, ls_error *error);

/* Ranks of a group of `size` ranks on `ranks_per_node` a node; 0: they have no one number. */
int comm_groups_size(const char *within, int size, int ranks_per_node);

/* The groups of `control`'s ranks, which are on `host`. Collective. LS_BAD_LAUNCH: they would not
 * be of as many ranks each. */
int comm_groups_find(comm *control, const char *within, const char *host, comm_groups *out,
                     ls_error *error);
void comm_groups_free(comm_groups *self); /* of zeroes is fine */

/* A comm whose ranks are those of this rank's group, on `over`, a comm of all ranks that outlives
 * it and is used by the same thread; settings: over's. What adds up and what is shared differ:
 *
 *   reduce_scatter  counts are of the group's ranks; the sum is over all ranks of all groups:
 * inside the group, and of each part then between the ranks that have it allgather       inside the
 * group allreduce, broadcast, sum_tree, barrier  over's own, over all ranks allocate        memory
 * that serves the group best
 *
 * It has no other calls. Where the device works by itself, the second half of a reduce_scatter
 * stands in a stream of the comm's own; else progress() begins it. Collective over all ranks. */
int comm_grouped_open(const comm_settings *settings, const comm_groups *groups, comm *over,
                      comm **out, ls_error *error);

#endif
