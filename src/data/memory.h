/* How much memory this process may still take. */
#ifndef LOCKSTEP_DATA_MEMORY_H
#define LOCKSTEP_DATA_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* The least of what the kernel calls available and what this process's control groups (a Slurm
 * job's limit, a container's) leave; INT64_MAX where nothing says. */
int64_t memory_available_bytes(void);

/* Zero-filled memory in huge pages where the kernel has them: random access to many images then
 * costs fewer TLB misses. NULL on failure. */
void *memory_map(size_t bytes);
/* More of it, perhaps elsewhere: the pages move, nothing is copied. NULL: it is as it was. */
void *memory_grow(void *memory, size_t bytes, size_t grown_bytes);
void memory_unmap(void *memory, size_t bytes); /* NULL is fine */

#endif
