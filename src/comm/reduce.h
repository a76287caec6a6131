/* The arithmetic of a reduction. */
#ifndef LOCKSTEP_COMM_REDUCE_H
#define LOCKSTEP_COMM_REDUCE_H

#include "base/dtype.h"
#include "comm/comm.h"

#include <stdbool.h>
#include <stddef.h>

/* fp16 and bf16 sums need a decision about where they are rounded: not taken yet. */
bool reduce_supports(dtype type);

/* into[i] = into[i] (sum, max, min) from[i], `count` elements of a type that is supported. The
 * buffers do not overlap. */
void reduce_into(void *into, const void *from, size_t count, dtype type, reduction how);

#endif
