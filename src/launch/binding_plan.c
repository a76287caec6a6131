#include "launch/binding_plan.h"

#include "base/share.h"

#include <math.h>
#include <string.h>

hwloc_bitmap_t binding_mask(const claim *from) {
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (set)
        hwloc_bitmap_from_ulongs(set, MASK_WORDS, from->mask);
    return set;
}

bool binding_same_mask(const claim *a, const claim *b) {
    return memcmp(a->mask, b->mask, sizeof a->mask) == 0;
}

int binding_cores(const launch_topology *topology, const claim *from, int cores[MAXIMUM_THREADS]) {
    hwloc_bitmap_t set = binding_mask(from);
    hwloc_obj_t core = NULL;
    int count = 0;
    while (set && count < MAXIMUM_THREADS &&
           (core = hwloc_get_next_obj_by_type(topology->hwloc, topology->core_type, core)))
        if (hwloc_bitmap_intersects(core->cpuset, set))
            cores[count++] = (int)core->logical_index;
    hwloc_bitmap_free(set);
    return count;
}

int binding_numa_node(hwloc_obj_t core, int wanted) {
    if (!core->nodeset)
        return -1;
    if (wanted >= 0 && hwloc_bitmap_isset(core->nodeset, (unsigned)wanted))
        return wanted;
    return hwloc_bitmap_first(core->nodeset);
}

/* The ranks of one mask and its cores. */
typedef struct group {
    const launch_topology *topology;
    const claim *all;
    int members[MAXIMUM_THREADS], member_count; /* indices of ranks, ascending */
    int cores[MAXIMUM_THREADS], core_count;
    int owner[MAXIMUM_THREADS]; /* of each core: a member's position; -1 none yet */
} group;

static bool is_near(const group *self, int core, int node) {
    hwloc_obj_t object = hwloc_get_obj_by_type(self->topology->hwloc, self->topology->core_type,
                                               (unsigned)self->cores[core]);
    return node >= 0 && binding_numa_node(object, node) == node;
}

static int node_of(const group *self, int member) {
    return self->all[self->members[member]].gpu_numa_node;
}

/* Cores that a member still lacks; all members' shares together are all cores. */
static int64_t lack_of(const group *self, int member) {
    int64_t lack = share_of(self->core_count, member, self->member_count).count;
    for (int core = 0; core < self->core_count; core++)
        lack -= self->owner[core] == member;
    return lack;
}

/* Free cores that it lacks, near its GPU (or any), from the `skipped`th of those on. */
static void take(group *self, int member, bool near, int64_t skipped, int64_t most) {
    int64_t lack = lack_of(self, member), position = 0;
    int node = node_of(self, member);
    most = lack < most ? lack : most;
    for (int core = 0; core < self->core_count && most > 0; core++) {
        if (near && !is_near(self, core, node))
            continue;
        if (position++ >= skipped && self->owner[core] < 0) {
            self->owner[core] = member;
            most--;
        }
    }
}

/* Its part of the cores near its GPU, which it shares with the others that have a GPU there. */
static void take_part(group *self, int member) {
    int node = node_of(self, member), near = 0, before = 0, same = 0;
    for (int core = 0; core < self->core_count; core++)
        near += is_near(self, core, node);
    for (int other = 0; other < self->member_count; other++)
        if (node_of(self, other) == node) {
            same++;
            before += other < member;
        }
    share part = share_of(near, before, same);
    take(self, member, true, part.first, part.count);
}

/* At least one core a member. Those near a GPU are given first, evenly, then what is left of them,
 * so that no rank is filled up with what is near another's. */
static void give_cores(group *self) {
    for (int core = 0; core < self->core_count; core++)
        self->owner[core] = -1;
    for (int member = 0; member < self->member_count; member++)
        take_part(self, member);
    for (int member = 0; member < self->member_count; member++)
        take(self, member, true, 0, self->core_count);
    for (int member = 0; member < self->member_count; member++)
        take(self, member, false, 0, self->core_count);
}

/* A member's cores, the near ones first: thread 0, which drives the GPU, stands on the first. */
static int list_cores(const group *self, int member, int out[MAXIMUM_THREADS]) {
    int count = 0, node = node_of(self, member);
    for (int near = 1; near >= 0; near--)
        for (int core = 0; core < self->core_count; core++)
            if (self->owner[core] == member && is_near(self, core, node) == near)
                out[count++] = self->cores[core];
    return count;
}

static bool is_under(const claim *rank, const cpu_quota *quota) {
    for (int index = 0; index < rank->quota_count; index++)
        if (rank->quotas[index].device == quota->device &&
            rank->quotas[index].inode == quota->inode)
            return true;
    return false;
}

static quota_share share_quota(const claim *all, int ranks, const claim *mine) {
    quota_share least = {.level = -1, .cpus = INFINITY};
    for (int level = 0; level < mine->quota_count; level++) {
        int sharing = 0;
        for (int other = 0; other < ranks; other++)
            sharing += is_under(&all[other], &mine->quotas[level]);
        double cpus = mine->quotas[level].cpus / sharing;
        if (cpus < least.cpus)
            least = (quota_share){level, cpus, sharing};
    }
    return least;
}

static int threads_of(const claim *rank, int cores, const quota_share *quota) {
    if (rank->threads > 0)
        return rank->threads;
    return quota->cpus < cores ? cpu_quota_threads(quota->cpus) : cores;
}

void binding_plan(const launch_topology *topology, const claim *all, int ranks, int index,
                  plan *out) {
    group group = {.topology = topology, .all = all};
    int own[MAXIMUM_THREADS], count = 1, before = 0, same = 0;
    group.core_count = binding_cores(topology, &all[index], group.cores);
    for (int other = 0; other < ranks; other++)
        if (binding_same_mask(&all[other], &all[index])) {
            before += other < index;
            if (same < MAXIMUM_THREADS)
                group.members[same] = other;
            same++;
        }
    out->threads = 0;
    out->quota = share_quota(all, ranks, &all[index]);
    if (group.core_count == 0)
        return;
    if (group.core_count < same) {
        own[0] = group.cores[(int64_t)before * group.core_count / same];
    } else {
        group.member_count = same;
        give_cores(&group);
        count = list_cores(&group, before, own);
    }
    out->granted = count;
    out->threads = threads_of(&all[index], count, &out->quota);
    out->wraps = out->threads > count;
    for (int thread = 0; thread < out->threads; thread++)
        out->cores[thread] = own[thread % count];
}
