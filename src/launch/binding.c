/* Which cores a rank's threads stand on. Every rank of a node knows every mask of that node, so
 * each computes the same plan for all of them, and no core is given twice. */
#include "launch/binding_plan.h"

#include <errno.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- the plans of a node */

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
    int count = binding_cores(topology, from, cores);
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
    if (binding_same_mask(&all[i], &all[j]))
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
    hwloc_bitmap_t set = binding_mask(mine);
    int unit = -1;
    if (set) {
        hwloc_bitmap_and(set, set, core->cpuset);
        unit = hwloc_bitmap_first(set);
    }
    hwloc_bitmap_free(set);
    return unit;
}

static void describe_quota(const quota_share *quota, launch_binding *out) {
    char files[MOST_CPU_QUOTAS][CPU_QUOTA_FILE];
    cpu_quota quotas[MOST_CPU_QUOTAS];
    out->quota_cpus = quota->cpus;
    out->quota_ranks = quota->ranks;
    if (quota->level >= 0 && cpu_quota_read("", quotas, files) > quota->level)
        snprintf(out->quota_file, sizeof out->quota_file, "%s", files[quota->level]);
}

static int describe(const launch *self, const claim *mine, const plan *from, launch_binding *out,
                    ls_error *error) {
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (!set)
        return ls_fail(error, LS_FAILED, "no memory for a map of cores");
    out->threads = from->threads;
    out->granted = from->granted;
    out->numa_node = -1;
    describe_quota(&from->quota, out);
    for (int thread = 0; thread < from->threads; thread++) {
        hwloc_obj_t core = hwloc_get_obj_by_type(self->topology->hwloc, self->topology->core_type,
                                                 (unsigned)from->cores[thread]);
        out->cores[thread] = from->cores[thread];
        out->processing_units[thread] = unit_of(core, mine);
        hwloc_bitmap_set(set, (unsigned)from->cores[thread]);
        if (thread == 0)
            out->numa_node = binding_numa_node(core, mine->gpu_numa_node);
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
        binding_plan(self->topology, all, self->local_size, index, &plans[index]);
    LS_TRY(check_plans(self, all, plans, oversubscribe, &out->oversubscribed, error));
    for (int index = 0; index < self->local_size; index++)
        if (all[index].rank == self->rank)
            return describe(self, mine, &plans[index], out, error);
    return ls_fail(error, LS_BAD_LAUNCH, "host %s: rank %d is not among its node's ranks",
                   self->host, self->rank);
}

int launch_bind(launch *self, int threads, bool oversubscribe, int gpu_numa_node,
                launch_binding *out, ls_error *error) {
    claim mine = {.rank = self->rank, .threads = threads, .gpu_numa_node = gpu_numa_node};
    memset(out, 0, sizeof *out);
    if (threads < 0 || threads > MAXIMUM_THREADS)
        return ls_fail(error, LS_BAD_INPUT, "threads: expected 0 to %d, found %d", MAXIMUM_THREADS,
                       threads);
    LS_TRY(read_mask(self, &mine, error));
    mine.quota_count = cpu_quota_read("", mine.quotas, NULL);
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
