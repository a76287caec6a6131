/* Memory by name that MPI, PMIx and NCCL share between a node's ranks, and memory that may not be
 * swapped out. Our own sums need neither: they use anonymous files (comm/node/node_memory.h). */
#include "doctor/node_memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#define MIB (1024.0 * 1024.0)

/* Open MPI's vader maps btl_vader_segment_size, 4 MiB, for each rank of a node (ompi_info --param
 * btl vader --level 9). NCCL makes rings of some MiB for each pair of GPUs that cannot copy
 * directly; its manual asks for a large /dev/shm and gives no number: this is a guess on the safe
 * side. */
static const double MPI_BYTES = 4 * MIB, NCCL_BYTES = 64 * MIB;

/* PMIx's and Open MPI's folders of a session: some hundred KiB. */
static const double SESSION_BYTES = 16 * MIB;

/* What Linux gives by default (since 5.16; systemd's for longer). Less comes from a login node's
 * old limits, which Slurm hands on to the job. */
static const double LOCKED_BYTES = 8 * MIB;

static double free_in(const char *folder) {
    struct statvfs found;
    return statvfs(folder, &found) == 0 ? (double)found.f_bavail * (double)found.f_frsize : -1;
}

static int examine(examination *self, void *facts, ls_error *error) {
    memory_facts *mine = facts;
    struct rlimit limit;
    char first[64];
    const char *shared = getenv("OMPI_MCA_btl_vader_backing_directory");
    const char *temporary = getenv("TMPDIR");
    (void)error;
    snprintf(mine->shared, sizeof mine->shared, "%.127s", shared ? shared : "/dev/shm");
    snprintf(mine->temporary, sizeof mine->temporary, "%.127s", temporary ? temporary : "/tmp");
    mine->shared_free_bytes = free_in(mine->shared);
    mine->temporary_free_bytes = free_in(mine->temporary);
    mine->locked_bytes = INFINITY;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        mine->locked_bytes = (double)limit.rlim_cur;
    mine->rdma = count_rdma(first, sizeof first) > 0;
    mine->gpu = self->device.uuid[0] != '\0';
    return LS_OK;
}

/* A warning only: MPI does with less, slowly, and what NCCL needs is not known to the byte. */
void judge_shared_memory(const ward *all, finding *out) {
    const memory_facts *ranks = all->facts;
    double least = INFINITY;
    for (int rank = 0; rank < all->size; rank++) {
        const memory_facts *mine = &ranks[rank];
        int local = all->beds[rank].local_size;
        double needed = local > 1 ? local * (MPI_BYTES + (mine->gpu ? NCCL_BYTES : 0)) : 0;
        if (mine->shared_free_bytes >= 0 && mine->shared_free_bytes < least)
            least = mine->shared_free_bytes;
        if (mine->shared_free_bytes >= 0 && mine->shared_free_bytes < needed)
            finding_say(out, FINDING_WARNING,
                        "mount -o remount,size=8G /dev/shm   # as root on that host; a container: "
                        "--shm-size=8g, or --ipc=host",
                        "host %s: %s has %s free, the %d ranks there need about %s",
                        all->beds[rank].host, mine->shared, size_text(mine->shared_free_bytes),
                        local, size_text(needed));
        if (mine->temporary_free_bytes >= 0 && mine->temporary_free_bytes < SESSION_BYTES)
            finding_say(out, FINDING_WARNING, "export TMPDIR=/dev/shm   # or another with room",
                        "host %s: %s has %s free; PMIx and MPI keep their sessions there",
                        all->beds[rank].host, mine->temporary,
                        size_text(mine->temporary_free_bytes));
    }
    if (isinf(least))
        finding_say(out, FINDING_SKIPPED, NULL, "%s cannot be asked for its room", ranks[0].shared);
    else
        finding_say(out, FINDING_OK, NULL, "%s free in %s%s, %s in %s", size_text(least),
                    ranks[0].shared, all->me->node_count > 1 ? " where there is least" : "",
                    size_text(ranks[0].temporary_free_bytes), ranks[0].temporary);
}

void judge_locked_memory(const ward *all, finding *out) {
    const memory_facts *ranks = all->facts;
    for (int rank = 0; rank < all->size; rank++) {
        const memory_facts *mine = &ranks[rank];
        if (mine->rdma && !isinf(mine->locked_bytes))
            finding_say(out, FINDING_WARNING,
                        "srun --propagate=NONE ...   # and LimitMEMLOCK=infinity in slurmd.service",
                        "%s may lock %s, and there is an RDMA network, which locks what it sends",
                        name_rank(all, rank), size_text(mine->locked_bytes));
        if (mine->locked_bytes < LOCKED_BYTES)
            finding_say(out, FINDING_WARNING,
                        "ulimit -l unlimited   # before srun, or srun --propagate=NONE ...",
                        "%s may lock only %s of memory, less than Linux gives by default (%s)",
                        name_rank(all, rank), size_text(mine->locked_bytes),
                        size_text(LOCKED_BYTES));
    }
    if (isinf(ranks[0].locked_bytes))
        finding_say(out, FINDING_OK, NULL, "no limit");
    finding_say(out, FINDING_OK, NULL, "%s a process, and nothing here locks memory (no RDMA)",
                size_text(ranks[0].locked_bytes));
}

static const check checks[] = {{"shared memory", true, judge_shared_memory},
                               {"locked memory", true, judge_locked_memory},
                               {0}};

const theme theme_memory = {.place = "doctor: memory",
                            .fact_bytes = sizeof(memory_facts),
                            .examine = examine,
                            .checks = checks,
                            .at_start = true};
