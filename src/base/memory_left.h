/* How much memory a process may still take: what its control groups leave (a container's --memory,
 * Slurm's --mem), what the machine has. A group that goes beyond its limit has a process killed.
 * Linux: admin-guide/cgroup-v2.rst "memory.max", cgroup-v1/memory.rst, proc(5) "meminfo". */
#ifndef LOCKSTEP_BASE_MEMORY_LEFT_H
#define LOCKSTEP_BASE_MEMORY_LEFT_H

#include <stdint.h>

enum { MOST_MEMORY_LIMITS = 8, MEMORY_LIMIT_FILE = 256 };

typedef struct memory_limit {
    uint64_t device, inode; /* of the group's folder: the same in every process that is in it */
    double bytes, left;     /* the limit; what of it is free, or given back when it is needed */
    char file[MEMORY_LIMIT_FILE]; /* where it stands */
} memory_limit;

/* The limits from this process's group outwards; their number, 0 for none. `root`: as
 * cgroup_visit's. */
int memory_limits_read(const char *root, memory_limit out[MOST_MEMORY_LIMITS]);

/* What all processes of this node, or of this job on it, may have together: the least of those
 * limits, or the machine's memory. */
double memory_limit_bytes(const char *root);

/* Of the machine, without swapping; INFINITY where it is not told. */
double memory_left_bytes(const char *root);

#endif
