/* A sum in a fixed binary tree. Of leaves 0, 1, 2, 3 it is (0 + 1) + (2 + 3), and so on: neighbours
 * are added, then the sums of neighbours. (A number of leaves that is no power of two is split at
 * the largest one below it.) The sum of two floats does not depend on which is first, and a
 * subtree's sum is one float wherever it was formed: so the same leaves give the same bits however
 * they are spread over ranks, as long as each rank's leaves are whole subtrees. fp32 and fp64. */
#ifndef LOCKSTEP_COMM_TREE_H
#define LOCKSTEP_COMM_TREE_H

#include "base/dtype.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct device device;               /* device/device.h */
typedef struct device_stream device_stream; /* device/device.h */

enum {
    TREE_MOST_LEAVES = 4096,
    TREE_PIECE_BYTES = 16 * 1024 /* that stay in a core's first cache */
};

bool tree_supports(dtype type);

/* out[i] = the tree's sum of leaves[0 .. count)[i], of `length` elements each, at most
 * TREE_PIECE_BYTES. `out` may be one of the leaves where there are no more than 4, else leaves[0]
 * or none of them. */
void tree_sum_piece(void *out, const void *const *leaves, int count, size_t length, dtype type);

/* In host memory: rows[i] of `length` elements, `stride` elements apart; row 0 becomes their sum.
 * Uses the threads that OpenMP has here. */
void tree_sum_rows(void *rows, int count, size_t stride, size_t length, dtype type);

/* The same in memory of a device, in stream order: fp32. The other rows are undefined after it. */
int tree_sum_rows_on(device *device, device_stream *stream, void *rows, int count, size_t stride,
                     size_t length, ls_error *error);

#endif
