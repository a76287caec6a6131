/* Which of a node's cores belong to which of its ranks: from what each rank may use, how much CPU
 * time it is granted, and where its GPU is. Every rank computes the same plan for all. */
#ifndef LOCKSTEP_LAUNCH_BINDING_PLAN_H
#define LOCKSTEP_LAUNCH_BINDING_PLAN_H

#include "base/cpu_quota.h"
#include "launch/topology.h"

#include <stdbool.h>

enum { MASK_WORDS = 64, MAXIMUM_THREADS = 1024 }; /* 4096 processing units */

/* What a rank tells the others of its node. */
typedef struct claim {
    int rank, threads;
    int gpu_numa_node;              /* OS number; -1: unknown, or no GPU */
    unsigned long mask[MASK_WORDS]; /* of processing units, OS numbers */
    int quota_count;
    cpu_quota quotas[MOST_CPU_QUOTAS];
} claim;

/* A rank's even share of the quota that leaves it least. */
typedef struct quota_share {
    int level;   /* of the rank's quotas; -1: none */
    double cpus; /* of the rank alone; INFINITY: no quota */
    int ranks;   /* of this node, that share the quota */
} quota_share;

/* The cores of one rank: hwloc logical numbers, one a thread. */
typedef struct plan {
    int threads;
    int granted; /* cores that are its own, used or not */
    int cores[MAXIMUM_THREADS];
    quota_share quota;
    bool wraps; /* two of its own threads on one core */
} plan;

/* Of rank `index` of the node's `ranks`: its share of its mask's cores, among the ranks with the
 * same mask; cores near its GPU first. Where cores are too few, a rank shares one (the caller
 * refuses that unless it is wanted). A rank that names no number of threads has one a core, but no
 * more than its share of a CPU quota keeps busy. threads 0: the mask holds no core. */
void binding_plan(const launch_topology *topology, const claim *all, int ranks, int index,
                  plan *out);

/* The cores with a processing unit in the mask, in hwloc's order; their number. */
int binding_cores(const launch_topology *topology, const claim *from, int cores[MAXIMUM_THREADS]);

bool binding_same_mask(const claim *a, const claim *b);

/* The caller frees it; NULL without memory. */
hwloc_bitmap_t binding_mask(const claim *from);

/* The NUMA node of a core: `wanted` where it is one of several, else the first; -1 unknown. */
int binding_numa_node(hwloc_obj_t core, int wanted);

#endif
