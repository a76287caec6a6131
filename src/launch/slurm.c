/* What Slurm's environment says: srun(1), "OUTPUT ENVIRONMENT VARIABLES". It checks what PMIx
 * says, and tells a launch without PMIx from a program started by hand. */
#include "launch/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Step numbers from here on are not srun's: the batch script, the interactive and the external
 * step (slurm.h: SLURM_BATCH_SCRIPT and its neighbours). */
static const long FIRST_SPECIAL_STEP = 0xfffffff0;

/* -1 where the variable is absent or is no number. */
static long number(const char *name) {
    const char *text = getenv(name);
    char *end;
    if (!text || !*text)
        return -1;
    long value = strtol(text, &end, 10);
    return *end ? -1 : value;
}

/* In a task that srun started; not in a batch script, where SLURM_NTASKS may well be 2. */
static bool in_step(void) {
    long step = number("SLURM_STEP_ID");
    return step >= 0 && step < FIRST_SPECIAL_STEP && number("SLURM_PROCID") >= 0;
}

int slurm_refuse_without_pmix(ls_error *error) {
    long tasks = number("SLURM_STEP_NUM_TASKS");
    if (!in_step())
        return LS_OK;
    if (tasks < 0)
        tasks = number("SLURM_NTASKS");
    if (tasks <= 1)
        return LS_OK;
    if (number("SLURM_PROCID") != 0) {
        *error = (ls_error){.code = LS_BAD_LAUNCH}; /* task 0 says it */
        return LS_BAD_LAUNCH;
    }
    return ls_fail(error, LS_BAD_LAUNCH,
                   "srun started %ld tasks without PMIx, so that each believes to be alone: use "
                   "`srun --mpi=pmix` (`srun --mpi=list` shows what this Slurm has)",
                   tasks);
}

static int compare(const char *variable, const char *what, int found, ls_error *error) {
    long expected = number(variable);
    if (expected < 0 || expected == found)
        return LS_OK;
    return ls_fail(error, LS_BAD_LAUNCH,
                   "%s is %ld, but PMIx says that the %s is %d: the environment of another step?",
                   variable, expected, what, found);
}

int slurm_check(const launch *self, ls_error *error) {
    if (strcmp(self->launcher, "srun") != 0)
        return LS_OK;
    LS_TRY(compare("SLURM_PROCID", "rank", self->rank, error));
    LS_TRY(compare("SLURM_STEP_NUM_TASKS", "number of ranks", self->size, error));
    LS_TRY(compare("SLURM_LOCALID", "rank on the node", self->local_rank, error));
    LS_TRY(compare("SLURM_NODEID", "node", self->node, error));
    return compare("SLURM_STEP_NUM_NODES", "number of nodes", self->node_count, error);
}

void slurm_job_id(char *out, size_t capacity) {
    const char *job = getenv("SLURM_JOB_ID");
    snprintf(out, capacity, "%s", job ? job : "");
}
