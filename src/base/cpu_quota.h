/* How much CPU time the control groups of this process grant, whatever its mask says: a container's
 * --cpus, Kubernetes' limits.cpu, systemd's CPUQuota. Threads beyond it are stopped in every period
 * (100 ms mostly). Linux: admin-guide/cgroup-v2.rst "cpu.max", scheduler/sched-bwc.rst. */
#ifndef LOCKSTEP_BASE_CPU_QUOTA_H
#define LOCKSTEP_BASE_CPU_QUOTA_H

#include <stdint.h>

enum { MOST_CPU_QUOTAS = 8, CPU_QUOTA_FILE = 256 };

typedef struct cpu_quota {
    uint64_t device, inode; /* of the group's folder: the same in every process that is in it */
    double cpus;            /* CPU seconds a second, for all processes of the group together */
} cpu_quota;

/* The quotas from this process's group outwards; their number, 0 for none. `files` (may be NULL):
 * where each stands. `root`: as cgroup_visit's. */
int cpu_quota_read(const char *root, cpu_quota out[MOST_CPU_QUOTAS],
                   char files[MOST_CPU_QUOTAS][CPU_QUOTA_FILE]);

/* Threads that a group of so many CPUs keeps busy: rounded up, at least 1. */
int cpu_quota_threads(double cpus);

#endif
