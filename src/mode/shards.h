/* Shards: which rank of a group holds which part of the flat array. The array is cut into blocks (a
 * bucket of the gradient, a unit's or a transformer block's parameters), and each block into a part
 * a rank of the group, in the order of their places: what reduce_scatter and allgather of comm.h
 * take, in which a rank's part follows the one before it and nothing is padded. The group is all
 * ranks, or the ranks of a node where what is sharded inside a node is replicated between nodes.
 *
 * Parts are as long as each other, but for their borders: those lie a multiple of SHARD_GRAIN
 * elements from where their unit begins. So what is summed grain by grain (a norm of the gradient)
 * is one rank's alone, and has the same bits for any number of ranks and any blocks; and a vector
 * or a page of memory is cut as seldom as in the whole array. A block of few grains may have none
 * for some of the ranks. */
#ifndef LOCKSTEP_MODE_SHARDS_H
#define LOCKSTEP_MODE_SHARDS_H

#include "mode/store.h"
#include "model/graph.h"

enum { SHARD_GRAIN = SQUARES_GRAIN };

typedef struct shards {
    int size;         /* ranks of the group */
    int count;        /* blocks */
    size_t *borders;  /* [count][size + 1]: where each place's part begins, and the block's end */
    int64_t *lengths; /* [count][size]: elements of each part */
} shards;

/* The first border at `element` or after it: where a block may begin that is not to share a grain
 * with another rank's. */
size_t shards_border(const graph *graph, size_t element);

/* Parts for `size` ranks of each of blocks[count], which lie apart, in any order. */
int shards_create(const graph *graph, const store_span *blocks, int count, int size, shards *out,
                  ls_error *error);
void shards_destroy(shards *self); /* of zeroes is fine */

/* What `place` has of a block: count 0 where that is nothing. */
store_span shards_part(const shards *self, int block, int place);
/* Elements of each place's part [size], as collectives take them. */
const int64_t *shards_lengths(const shards *self, int block);
/* All that `place` has, ascending, into out[count]; of neighbours one span. Returns how many. */
int shards_held(const shards *self, int place, store_span *out);

#endif
