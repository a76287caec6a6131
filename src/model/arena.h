/* Plans one block of memory for buffers with known lifetimes: buffers whose lifetimes overlap
 * never share bytes. Largest first, each at the lowest offset that is free (the greedy-by-size
 * strategy of Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference",
 * 2020). */
#ifndef LOCKSTEP_MODEL_ARENA_H
#define LOCKSTEP_MODEL_ARENA_H

#include "base/error.h"

#include <stddef.h>

typedef struct arena_buffer {
    size_t bytes;
    int first, last; /* moments of the first write and the last read, inclusive */
    size_t offset;   /* the result; a multiple of 256 */
} arena_buffer;

/* *bytes: needed for all. */
int arena_plan(arena_buffer *buffers, int count, size_t *bytes, ls_error *error);

#endif
