/* A core set a rank. */
#include "doctor/check.h"
#include "launch/environment.h"

#include <stdio.h>
#include <string.h>

typedef struct core_facts {
    char error[768]; /* of launch_bind */
    char map[128];
    int threads;
    bool oversubscribed;
    char reference[64];                    /* of device_facts */
    char environment[400], taken_out[400]; /* launch/environment.h */
} core_facts;

static int examine(examination *self, void *facts, ls_error *error) {
    core_facts *mine = facts;
    ls_error found = {0};
    (void)error;
    environment_describe(1u << ENVIRONMENT_ARITHMETIC | 1u << ENVIRONMENT_TIMES |
                             1u << ENVIRONMENT_COMMUNICATION,
                         mine->environment, sizeof mine->environment);
    environment_describe(1u << ENVIRONMENT_TAKEN_OUT, mine->taken_out, sizeof mine->taken_out);
    memcpy(mine->reference, self->device.reference, sizeof mine->reference);
    if (launch_bind(self->me, (int)self->settings->device.threads,
                    self->settings->device.oversubscribe, self->device.numa_node,
                    &self->own_binding, &found) != LS_OK) {
        snprintf(mine->error, sizeof mine->error, "%.767s", found.text);
        return LS_OK;
    }
    self->binding = &self->own_binding;
    mine->threads = self->binding->threads;
    mine->oversubscribed = self->binding->oversubscribed;
    snprintf(mine->map, sizeof mine->map, "%s", self->binding->map);
    return LS_OK;
}

static const char *mend(const ward *all) {
    int threads = all->settings->device.threads > 0 ? (int)all->settings->device.threads : 1;
    if (strcmp(all->me->launcher, "mpirun") == 0)
        return mend_text("mpirun --map-by slot:PE=%d --bind-to core ...   # or fewer ranks a host",
                         threads);
    if (all->me->size == 1)
        return mend_text("taskset -c 0-%d lockstep ...   # or --threads of no more than it may use",
                         threads - 1);
    return mend_text("#SBATCH --cpus-per-task=%d   # with srun --cpu-bind=cores; or fewer "
                     "--ntasks-per-node",
                     threads);
}

static void judge(const ward *all, finding *out) {
    const core_facts *ranks = all->facts;
    int least = 0, most = 0;
    for (int rank = 0; rank < all->size; rank++) {
        if (ranks[rank].error[0])
            finding_say(out, FINDING_FAILURE, mend(all), "%s", ranks[rank].error);
        if (ranks[rank].threads < ranks[least].threads)
            least = rank;
        if (ranks[rank].threads > ranks[most].threads)
            most = rank;
    }
    for (int rank = 0; rank < all->size; rank++)
        if (ranks[rank].oversubscribed)
            finding_say(out, FINDING_WARNING, mend(all),
                        "%s shares a core (--oversubscribe): times are not comparable",
                        name_rank(all, rank));
    if (ranks[most].threads != ranks[least].threads)
        finding_say(out, FINDING_WARNING,
                    mend_text("--threads %d   # or #SBATCH --cpus-per-task=%d",
                              ranks[least].threads, ranks[most].threads),
                    "%s has %d cores, %s has %d: the others wait for it", name_rank(all, least),
                    ranks[least].threads, name_rank(all, most), ranks[most].threads);
    if (all->size == 1)
        finding_say(out, FINDING_OK, NULL, "cores %s", ranks[0].map);
    finding_say(out, FINDING_OK, NULL, "%d a rank, none shared; rank 0: %s, rank %d: %s",
                ranks[0].threads, ranks[0].map, all->size - 1, ranks[all->size - 1].map);
}

/* Variables that change what is computed, or how fast. Those that are taken out are of no account,
 * and the doctor says so, for they look as if they were. */
static void judge_environment(const ward *all, finding *out) {
    const core_facts *ranks = all->facts;
    for (int rank = 1; rank < all->size; rank++)
        if (strcmp(ranks[rank].environment, ranks[0].environment) != 0)
            finding_say(out, FINDING_WARNING,
                        "srun --export=ALL ...   # or mpirun -x NAME, for all",
                        "%s has '%.200s', rank 0 has '%.200s'", name_rank(all, rank),
                        ranks[rank].environment, ranks[0].environment);
    finding_say(out, FINDING_OK, NULL, "%s%s%s%s",
                ranks[0].environment[0] ? ranks[0].environment
                                        : "nothing set that changes threads, bits or times",
                ranks[0].taken_out[0] ? "; of no effect: " : "", ranks[0].taken_out,
                ranks[0].taken_out[0] ? " (lockstep decides that)" : "");
}

/* What the library has for the processor. */
static void judge_kernels(const ward *all, finding *out) {
    const core_facts *ranks = all->facts;
    for (int rank = 0; rank < all->size; rank++)
        if (ranks[rank].reference[0])
            finding_say(out, FINDING_WARNING,
                        "another version of the library, or no limit in ONEDNN_MAX_CPU_ISA",
                        "%s: the library has no convolution for this processor but a reference "
                        "(%s), many times slower than others",
                        name_rank(all, rank), ranks[rank].reference);
    finding_say(out, FINDING_OK, NULL, "no convolution by a library's reference implementation");
}

static const check checks[] = {{"cores", false, judge},
                               {"environment", false, judge_environment},
                               {"kernels", false, judge_kernels},
                               {0}};

const theme theme_cores = {.place = "doctor: cores",
                           .fact_bytes = sizeof(core_facts),
                           .examine = examine,
                           .checks = checks};
