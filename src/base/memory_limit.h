/* How much memory the processes of this node, or of this job on it, may have. */
#ifndef LOCKSTEP_BASE_MEMORY_LIMIT_H
#define LOCKSTEP_BASE_MEMORY_LIMIT_H

/* Bytes: the machine's memory, or the smallest limit of the control groups that this process is in
 * (memory.max, memory.limit_in_bytes). `root`: as cgroup_visit's. */
double memory_limit_bytes(const char *root);

#endif
