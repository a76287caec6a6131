/* Which cores a rank's threads stand on. Every rank of a node knows every mask of that node, so
 * each computes the same plan for all of them, and no core is given twice. */
#include "base/share.h"
#include "launch/launch.h"
#include "launch/topology.h"

#include <errno.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MASK_WORDS = 64, MAXIMUM_THREADS = 1024 }; /* 4096 processing units */

/* What a rank tells the others of its node. */
typedef struct claim {
    int rank, threads;
    unsigned long mask[MASK_WORDS]; /* of processing units, OS numbers */
} claim;

/* The cores of one rank: hwloc logical numbers, one a thread. */
typedef struct plan {
    int threads;
    int cores[MAXIMUM_THREADS];
    bool wraps; /* two of its own threads on one core */
} plan;

int topology_open(launch_topology **out, ls_error *error) {
    launch_topology *self = calloc(1, sizeof *self);
    /* With the units that this process may not use, so that a core has one number for all the
     * ranks of a node, whatever control group each is in. */
    if (!self || hwloc_topology_init(&self->hwloc) ||
        hwloc_topology_set_flags(self->hwloc, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) ||
        hwloc_topology_load(self->hwloc)) {
        free(self);
        return ls_fail_errno(error, LS_FAILED, "hwloc cannot read this machine's topology");
    }
    bool has_cores = hwloc_get_nbobjs_by_type(self->hwloc, HWLOC_OBJ_CORE) > 0;
    self->core_type = has_cores ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
    *out = self;
    return LS_OK;
}

void topology_close(launch_topology *self) {
    if (!self)
        return;
    hwloc_topology_destroy(self->hwloc);
    free(self);
}

/* ---- the claims of a node */

static int read_mask(const launch *self, claim *mine, ls_error *error) {
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    int status = LS_OK;
    if (!set || hwloc_get_cpubind(self->topology->hwloc, set, HWLOC_CPUBIND_THREAD))
        status = ls_fail_errno(error, LS_FAILED, "hwloc cannot read this process's mask");
    else if (hwloc_bitmap_last(set) >= (int)(MASK_WORDS * 8 * sizeof(long)))
        status = ls_fail(error, LS_BAD_LAUNCH, "processing unit %d: this build stops at %zu",
                         hwloc_bitmap_last(set), MASK_WORDS * 8 * sizeof(long) - 1);
    else
        for (unsigned word = 0; word < MASK_WORDS; word++)
            mine->mask[word] = hwloc_bitmap_to_ith_ulong(set, word);
    hwloc_bitmap_free(set);
    return status;
}

static int exchange(const launch *self, const claim *mine, claim *all, ls_error *error) {
    /* Not local_size: the split is every rank's, also of one that is alone on its node. */
    if (self->size == 1) {
        all[0] = *mine;
        return LS_OK;
    }
    MPI_Comm node;
    int ranks = 0;
    if (MPI_Comm_split(MPI_COMM_WORLD, self->node, self->rank, &node) ||
        MPI_Comm_size(node, &ranks))
        return ls_fail(error, LS_FAILED, "MPI_Comm_split by node failed");
    int failed = 0;
    if (ranks == self->local_size)
        failed = MPI_Allgather(mine, (int)sizeof *mine, MPI_BYTE, all, (int)sizeof *mine, MPI_BYTE,
                               node);
    MPI_Comm_free(&node);
    if (ranks != self->local_size)
        return ls_fail(error, LS_BAD_LAUNCH,
                       "node %d has %d ranks by PMIx's node numbers, %d by its local size",
                       self->node, ranks, self->local_size);
    if (failed)
        return ls_fail(error, LS_FAILED, "MPI_Allgather of the masks failed");
    return LS_OK;
}

/* ---- the plan */

static hwloc_bitmap_t set_of(const claim *from) {
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (set)
        hwloc_bitmap_from_ulongs(set, MASK_WORDS, from->mask);
    return set;
}

/* The cores with a processing unit in the mask, in hwloc's order; their number. */
static int cores_of(const launch_topology *topology, const claim *from,
                    int cores[MAXIMUM_THREADS]) {
    hwloc_bitmap_t set = set_of(from);
    hwloc_obj_t core = NULL;
    int count = 0;
    while (set && count < MAXIMUM_THREADS &&
           (core = hwloc_get_next_obj_by_type(topology->hwloc, topology->core_type, core)))
        if (hwloc_bitmap_intersects(core->cpuset, set))
            cores[count++] = (int)core->logical_index;
    hwloc_bitmap_free(set);
    return count;
}

static bool same_mask(const claim *a, const claim *b) {
    return memcmp(a->mask, b->mask, sizeof a->mask) == 0;
}

/* Rank `index` of the node: its share of its mask's cores, among the ranks with the same mask.
 * Where cores are too few, a rank shares one (the caller refuses that unless it is wanted). */
static void make_plan(const launch_topology *topology, const claim *all, int ranks, int index,
                      plan *out) {
    int cores[MAXIMUM_THREADS], same = 0, before = 0;
    int count = cores_of(topology, &all[index], cores);
    for (int other = 0; other < ranks; other++)
        if (same_mask(&all[other], &all[index])) {
            same++;
            before += other < index;
        }
    out->threads = 0;
    if (count == 0)
        return;
    share mine = share_of(count, before, same);
    if (mine.count == 0)
        mine = (share){(int64_t)before * count / same, 1};
    out->threads = all[index].threads > 0 ? all[index].threads : (int)mine.count;
    out->wraps = out->threads > mine.count;
    for (int thread = 0; thread < out->threads; thread++)
        out->cores[thread] = cores[mine.first + thread % mine.count];
}

static int first_common_core(const plan *a, const plan *b) {
    for (int i = 0; i < a->threads; i++)
        for (int j = 0; j < b->threads; j++)
            if (a->cores[i] == b->cores[j])
                return a->cores[i];
    return -1;
}

static void mask_text(const launch_topology *topology, const claim *from, char *out,
                      size_t capacity) {
    int cores[MAXIMUM_THREADS];
    int count = cores_of(topology, from, cores);
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    for (int index = 0; set && index < count; index++)
        hwloc_bitmap_set(set, (unsigned)cores[index]);
    if (set)
        hwloc_bitmap_list_snprintf(out, capacity, set);
    hwloc_bitmap_free(set);
}

static int refuse_sharing(const launch *self, const claim *all, int i, int j, int core,
                          ls_error *error) {
    char mask[2][64], ranks[160] = "";
    mask_text(self->topology, &all[i], mask[0], sizeof mask[0]);
    mask_text(self->topology, &all[j], mask[1], sizeof mask[1]);
    if (same_mask(&all[i], &all[j]))
        snprintf(ranks, sizeof ranks, "both may use only cores %s", mask[0]);
    else
        snprintf(ranks, sizeof ranks, "their masks %s and %s overlap", mask[0], mask[1]);
    return ls_fail(error, LS_BAD_LAUNCH,
                   "host %s: ranks %d and %d would stand on one core (%d; %s): give each rank "
                   "cores of its own (--cpus-per-task, fewer ranks a node), or pass "
                   "--oversubscribe",
                   self->host, all[i].rank, all[j].rank, core, ranks);
}

/* Whether two threads of the node share a core; refused unless wanted. */
static int check_plans(const launch *self, const claim *all, const plan *plans, bool allowed,
                       bool *shared, ls_error *error) {
    *shared = false;
    for (int i = 0; i < self->local_size; i++) {
        if (plans[i].threads == 0)
            return ls_fail(error, LS_BAD_LAUNCH, "host %s: rank %d may use no core of this machine",
                           self->host, all[i].rank);
        if (plans[i].wraps) {
            *shared = true;
            if (!allowed)
                return ls_fail(error, LS_BAD_LAUNCH,
                               "host %s: rank %d is to run %d threads, but has fewer cores than "
                               "that: give it more (--cpus-per-task), or pass --oversubscribe",
                               self->host, all[i].rank, plans[i].threads);
        }
        for (int j = i + 1; j < self->local_size; j++) {
            int core = first_common_core(&plans[i], &plans[j]);
            if (core < 0)
                continue;
            *shared = true;
            if (!allowed)
                return refuse_sharing(self, all, i, j, core, error);
        }
    }
    return LS_OK;
}

/* ---- the result */

/* The first processing unit of the core that the mask allows. */
static int unit_of(hwloc_obj_t core, const claim *mine) {
    hwloc_bitmap_t set = set_of(mine);
    int unit = -1;
    if (set) {
        hwloc_bitmap_and(set, set, core->cpuset);
        unit = hwloc_bitmap_first(set);
    }
    hwloc_bitmap_free(set);
    return unit;
}

static int describe(const launch *self, const claim *mine, const plan *from, launch_binding *out,
                    ls_error *error) {
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (!set)
        return ls_fail(error, LS_FAILED, "no memory for a map of cores");
    out->threads = from->threads;
    out->numa_node = -1;
    for (int thread = 0; thread < from->threads; thread++) {
        hwloc_obj_t core = hwloc_get_obj_by_type(self->topology->hwloc, self->topology->core_type,
                                                 (unsigned)from->cores[thread]);
        out->cores[thread] = from->cores[thread];
        out->processing_units[thread] = unit_of(core, mine);
        hwloc_bitmap_set(set, (unsigned)from->cores[thread]);
        if (thread == 0 && core->nodeset)
            out->numa_node = hwloc_bitmap_first(core->nodeset);
    }
    if (hwloc_bitmap_list_snprintf(out->map, sizeof out->map, set) >= (int)sizeof out->map)
        memcpy(out->map + sizeof out->map - 4, "...", 4);
    hwloc_bitmap_free(set);
    return LS_OK;
}

static int plan_node(const launch *self, const claim *mine, bool oversubscribe, claim *all,
                     plan *plans, launch_binding *out, ls_error *error) {
    LS_TRY(exchange(self, mine, all, error));
    for (int index = 0; index < self->local_size; index++)
        make_plan(self->topology, all, self->local_size, index, &plans[index]);
    LS_TRY(check_plans(self, all, plans, oversubscribe, &out->oversubscribed, error));
    for (int index = 0; index < self->local_size; index++)
        if (all[index].rank == self->rank)
            return describe(self, mine, &plans[index], out, error);
    return ls_fail(error, LS_BAD_LAUNCH, "host %s: rank %d is not among its node's ranks",
                   self->host, self->rank);
}

int launch_bind(launch *self, int threads, bool oversubscribe, launch_binding *out,
                ls_error *error) {
    claim mine = {.rank = self->rank, .threads = threads};
    memset(out, 0, sizeof *out);
    if (threads < 0 || threads > MAXIMUM_THREADS)
        return ls_fail(error, LS_BAD_INPUT, "threads: expected 0 to %d, found %d", MAXIMUM_THREADS,
                       threads);
    LS_TRY(read_mask(self, &mine, error));
    claim *all = calloc((size_t)self->local_size, sizeof *all);
    plan *plans = calloc((size_t)self->local_size, sizeof *plans);
    int status = LS_OK;
    if (!all || !plans)
        status = ls_fail(error, LS_FAILED, "no memory for the plan of the node's cores");
    else
        status = plan_node(self, &mine, oversubscribe, all, plans, out, error);
    free(all);
    free(plans);
    LS_TRY(status);
    return launch_bind_thread(self, out, 0, error);
}

int launch_bind_thread(const launch *self, const launch_binding *binding, int index,
                       ls_error *error) {
    if (index < 0 || index >= binding->threads)
        return ls_fail(error, LS_FAILED, "compute thread %d: the binding has %d", index,
                       binding->threads);
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    int failed = !set || hwloc_bitmap_only(set, (unsigned)binding->processing_units[index]) ||
                 hwloc_set_cpubind(self->topology->hwloc, set, HWLOC_CPUBIND_THREAD);
    hwloc_bitmap_free(set);
    if (failed)
        return ls_fail_errno(error, LS_FAILED, "cannot bind compute thread %d to unit %d", index,
                             binding->processing_units[index]);
    return LS_OK;
}
