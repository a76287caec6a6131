/* The arithmetic of a reduction. */
#ifndef LOCKSTEP_COMM_REDUCE_H
#define LOCKSTEP_COMM_REDUCE_H

#include "base/dtype.h"
#include "comm/comm.h"

#include <stdbool.h>
#include <stddef.h>

/* fp16 sums need a decision about where they are rounded: not taken yet. */
bool reduce_supports(dtype type);

/* into[i] = one[i] (sum, max, min) other[i], `count` elements of a type that is supported. `into`
 * may be `one` or `other`; else the buffers do not overlap. */
void reduce_two(void *into, const void *one, const void *other, size_t count, dtype type,
                reduction how);

/* into[i] = into[i] (sum, max, min) from[i], `count` elements of a type that is supported. The
 * buffers do not overlap. */
void reduce_into(void *into, const void *from, size_t count, dtype type, reduction how);

#endif
