/* Who am I and where: rank, size and topology from PMIx, checked against SLURM_* and MPI; alone
 * when the environment offers no PMIx server. */
#ifndef LOCKSTEP_LAUNCH_LAUNCH_H
#define LOCKSTEP_LAUNCH_LAUNCH_H

#include "base/error.h"

#include <stdbool.h>

typedef struct launch_topology launch_topology; /* hwloc's view of this node; opaque */

typedef struct launch {
    int rank, size;             /* in the job step */
    int local_rank, local_size; /* on this node */
    int node, node_count;
    char host[256];
    const char *launcher;  /* "srun", "mpirun", "PMIx" (some other server) or "alone" */
    char pmix_version[64]; /* "" when alone */
    char mpi_version[128]; /* "" when alone */
    char slurm_job_id[32]; /* "" outside Slurm */
    launch_topology *topology;
} launch;

/* Phase 1, before any other library is started. Where the environment offers a PMIx server (that
 * decides, not a failing call): PMIx_Init and PMIx_Get, and MPI_Init_thread (SERIALIZED, checked),
 * in the order that this MPI wants; MPI's rank and size are compared with PMIx's, SLURM_* with
 * both, and the lifeline between the ranks is up. Else alone, and MPI is never started. Under srun
 * without PMIx (a step of several tasks, none of which has a PMIx server): LS_BAD_LAUNCH with the
 * fix; only SLURM_PROCID 0 gets a text to print. */
int launch_start(launch *self, ls_error *error);

/* The two parts of launch_start, for who reports what the second finds: all up to the lifeline, and
 * SLURM_* compared (not collective). */
int launch_join(launch *self, ls_error *error);
int launch_check_slurm(const launch *self, ls_error *error);

/* The reverse: MPI_Finalize, PMIx_Finalize, and the lifeline last, so that a rank that dies in
 * either is still noticed. Collective. */
int launch_finish(launch *self, ls_error *error);

typedef struct launch_binding {
    int threads;                /* compute threads of this rank */
    int cores[1024];            /* physical cores (hwloc logical index) of them, one a thread */
    int processing_units[1024]; /* OS index (PU) each thread is bound to */
    int numa_node; /* OS index of the NUMA node of the first core (the GPU's, where that core has
                    * several); -1 unknown */
    bool oversubscribed;  /* two ranks share a core (only with oversubscribe = true) */
    char map[128];        /* "0-3,8": the cores as text, for the header */
    int granted;          /* cores of this rank's share, of which `threads` are used */
    double quota_cpus;    /* CPU seconds a second: this rank's even share of the control groups'
                           * quota; INFINITY: none */
    int quota_ranks;      /* of this node, that share it */
    char quota_file[256]; /* where it stands; "" none */
} launch_binding;

/* Chooses this rank's cores inside the mask it inherited and binds the calling thread to the
 * first. Ranks of a node whose masks are the same share the cores of that mask evenly (whole
 * cores); disjoint masks are taken as they are. gpu_numa_node: OS index of the NUMA node that this
 * rank's GPU is on; the rank gets cores of that node first, evenly with the other ranks that have
 * a GPU there, and only then others. -1: unknown, or no GPU; where all are, shares are contiguous.
 * threads = 0: every core of the share, but no more than a CPU quota of the control groups, shared
 * out evenly among the ranks under it, keeps busy (rounded up). Fewer cores than ranks, or two
 * ranks' masks that overlap without being equal so that two ranks would stand on one core:
 * LS_BAD_LAUNCH naming hosts, ranks and the fix, unless oversubscribe. Collective. */
int launch_bind(launch *self, int threads, bool oversubscribe, int gpu_numa_node,
                launch_binding *out, ls_error *error);

/* Binds the calling thread to compute thread `index`'s core (for OpenMP workers). */
int launch_bind_thread(const launch *self, const launch_binding *binding, int index,
                       ls_error *error);

#endif
