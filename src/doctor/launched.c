/* Who started the ranks, and does everybody say the same about them? */
#include "doctor/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct launch_facts {
    char slurm_error[768]; /* what SLURM_* and PMIx do not agree on */
    char server[32];       /* PMIx version of the server; "" unknown */
    char plugins[256];     /* rank 0's: srun --mpi=list */
    int job_tasks;         /* SLURM_NTASKS; 0: none */
    bool in_batch_script;
} launch_facts;

static int number_in_environment(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

static int examine(examination *self, void *facts, ls_error *error) {
    launch_facts *mine = facts;
    ls_error found = {0};
    const char *server = getenv("PMIX_VERSION");
    (void)error;
    if (launch_check_slurm(self->me, &found) != LS_OK)
        snprintf(mine->slurm_error, sizeof mine->slurm_error, "%.767s", found.text);
    snprintf(mine->server, sizeof mine->server, "%.31s", server ? server : "");
    mine->job_tasks = number_in_environment("SLURM_NTASKS");
    mine->in_batch_script = getenv("SLURM_JOB_ID") && !getenv("SLURM_STEP_ID");
    if (self->me->rank == 0 && !self->at_start)
        slurm_mpi_plugins(mine->plugins, sizeof mine->plugins);
    return LS_OK;
}

static int major_of(const char *version) {
    const char *digit = version + strcspn(version, "0123456789");
    return atoi(digit);
}

static void judge_pmix(const ward *all, finding *out) {
    const launch_facts *first = all->facts;
    const launch *me = all->me;
    char list[288] = "";
    bool by_slurm = strcmp(me->launcher, "mpirun") != 0;
    if (first->plugins[0])
        snprintf(list, sizeof list, "; srun --mpi=list: %.255s", first->plugins);
    if (me->size == 1 && !me->pmix_version[0] && first->in_batch_script && first->job_tasks > 1)
        finding_say(out, FINDING_WARNING, "srun --mpi=pmix lockstep ...",
                    "one process, started by no launcher, in a job of %d tasks%s", first->job_tasks,
                    list);
    if (by_slurm && first->plugins[0] && !strstr(first->plugins, "pmix"))
        finding_say(out, FINDING_WARNING,
                    "mpirun lockstep ...   # inside the allocation, in place of srun",
                    "this Slurm has no pmix plugin%s", list);
    if (me->pmix_version[0] && first->server[0] &&
        major_of(me->pmix_version) != major_of(first->server))
        finding_say(out, FINDING_WARNING,
                    "module load pmix/SAME-MAJOR-AS-SLURM   # then build lockstep and Open MPI "
                    "with it",
                    "this program has %s, its server has PMIx %s%s", me->pmix_version,
                    first->server, list);
    if (!me->pmix_version[0])
        finding_say(out, FINDING_OK, NULL, "started by hand: one rank needs none%s", list);
    finding_say(out, FINDING_OK, NULL, "%s (server %s) from %s%s", me->pmix_version,
                first->server[0] ? first->server : "of unknown version", me->launcher, list);
}

static void judge_ranks(const ward *all, finding *out) {
    const launch_facts *ranks = all->facts;
    int largest = 0, smallest = 0;
    for (int rank = 0; rank < all->size; rank++) {
        if (ranks[rank].slurm_error[0])
            finding_say(out, FINDING_FAILURE,
                        "env -u SLURM_PROCID -u SLURM_STEP_NUM_TASKS -u SLURM_STEP_NUM_NODES ...   "
                        "# in a script that calls srun or mpirun, set no SLURM_* by hand",
                        "%s: %s", name_rank(all, rank), ranks[rank].slurm_error);
        if (all->beds[rank].local_size > all->beds[largest].local_size)
            largest = rank;
        if (all->beds[rank].local_size < all->beds[smallest].local_size)
            smallest = rank;
    }
    int most = all->beds[largest].local_size, least = all->beds[smallest].local_size;
    if (most != least)
        finding_say(out, FINDING_WARNING, mend_text("#SBATCH --ntasks-per-node=%d", most),
                    "host %s has %d rank%s, host %s has %d: sums then go through messages, not "
                    "through shared memory, and the fullest host holds the others up",
                    all->beds[largest].host, most, most == 1 ? "" : "s", all->beds[smallest].host,
                    least);
    finding_say(out, FINDING_OK, NULL, "%d rank%s on %d node%s%s", all->size,
                all->size == 1 ? "" : "s", all->me->node_count, all->me->node_count == 1 ? "" : "s",
                strcmp(all->me->launcher, "srun") == 0 ? "; Slurm, PMIx and MPI say the same"
                : all->size > 1                        ? "; PMIx and MPI say the same"
                                                       : "");
}

static const check checks[] = {{"pmix", false, judge_pmix}, {"ranks", true, judge_ranks}, {0}};

const theme theme_launch = {.place = "doctor: launch",
                            .fact_bytes = sizeof(launch_facts),
                            .examine = examine,
                            .checks = checks,
                            .at_start = true};
