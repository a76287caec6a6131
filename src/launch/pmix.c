/* Who am I, from PMIx: https://pmix.org (the keys are the standard's, version 4). */
#include "launch/sources.h"

#include <pmix.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static pmix_proc_t myself;
static int starts; /* PMIx counts PMIx_Init, and ends with as many PMIx_Finalize */

bool pmix_offered(void) {
    if (!getenv("PMIX_NAMESPACE") || !getenv("PMIX_RANK"))
        return false;
    for (char **each = environ; *each; each++)
        if (strncmp(*each, "PMIX_SERVER_URI", strlen("PMIX_SERVER_URI")) == 0)
            return true;
    return false;
}

const char *pmix_namespace(void) {
    return myself.nspace;
}

/* A server knows the job, but of this rank no more than that it has been: Slurm's forgets a task's
 * client with PMIx_Finalize. Every rank finds it; rank 0 says it. */
static int refuse_second_program(ls_error *error) {
    ls_fail(error, LS_BAD_LAUNCH,
            "a program of this step has been PMIx's client before, and each task has one (the step "
            "runs a script that starts several): give each program its own srun");
    if (myself.rank != 0)
        error->text[0] = '\0';
    return error->code;
}

static int get(const char *key, bool of_job, pmix_value_t **value, ls_error *error) {
    pmix_proc_t whose = myself;
    if (of_job)
        whose.rank = PMIX_RANK_WILDCARD;
    pmix_status_t status = PMIx_Get(&whose, key, NULL, 0, value);
    if (status == PMIX_ERR_NOT_FOUND && !of_job && strcmp(key, PMIX_LOCAL_RANK) == 0)
        return refuse_second_program(error);
    if (status != PMIX_SUCCESS)
        return ls_fail(error, LS_BAD_LAUNCH, "the PMIx server does not know %s: %s", key,
                       PMIx_Error_string(status));
    return LS_OK;
}

static int get_number(const char *key, bool of_job, int *out, ls_error *error) {
    pmix_value_t *value = NULL;
    int status = LS_OK;
    LS_TRY(get(key, of_job, &value, error));
    if (value->type == PMIX_UINT32)
        *out = (int)value->data.uint32;
    else if (value->type == PMIX_UINT16)
        *out = value->data.uint16;
    else if (value->type == PMIX_INT)
        *out = value->data.integer;
    else
        status = ls_fail(error, LS_BAD_LAUNCH, "the PMIx server gives %s as %s, not as a number",
                         key, PMIx_Data_type_string(value->type));
    PMIX_VALUE_RELEASE(value);
    return status;
}

static int get_text(const char *key, char *out, size_t capacity, ls_error *error) {
    pmix_value_t *value = NULL;
    int status = LS_OK;
    LS_TRY(get(key, false, &value, error));
    if (value->type == PMIX_STRING)
        snprintf(out, capacity, "%s", value->data.string);
    else
        status = ls_fail(error, LS_BAD_LAUNCH, "the PMIx server gives %s as %s, not as a text", key,
                         PMIx_Data_type_string(value->type));
    PMIX_VALUE_RELEASE(value);
    return status;
}

/* mpirun's ranks may inherit SLURM_* from the step that its daemons run in, so the name space of
 * the PMIx server says who started this rank. */
static const char *launcher_name(void) {
    if (strncmp(myself.nspace, "slurm.", strlen("slurm.")) == 0)
        return "srun";
    return getenv("OMPI_COMM_WORLD_RANK") ? "mpirun" : "PMIx";
}

int pmix_start(launch *self, ls_error *error) {
    pmix_status_t status = PMIx_Init(&myself, NULL, 0);
    if (status != PMIX_SUCCESS)
        return ls_fail(error, LS_BAD_LAUNCH,
                       "the environment offers a PMIx server, but PMIx_Init says: %s",
                       PMIx_Error_string(status));
    starts++;
    self->rank = (int)myself.rank;
    LS_TRY(get_number(PMIX_JOB_SIZE, true, &self->size, error));
    LS_TRY(get_number(PMIX_LOCAL_SIZE, true, &self->local_size, error));
    LS_TRY(get_number(PMIX_NUM_NODES, true, &self->node_count, error));
    LS_TRY(get_number(PMIX_LOCAL_RANK, false, &self->local_rank, error));
    LS_TRY(get_number(PMIX_NODEID, false, &self->node, error));
    LS_TRY(get_text(PMIX_HOSTNAME, self->host, sizeof self->host, error));
    const char *version = PMIx_Get_version(); /* "OpenPMIx 4.2.2 (PMIx Standard: ...)" */
    const char *details = strstr(version, " (");
    snprintf(self->pmix_version, sizeof self->pmix_version, "%.*s",
             (int)(details ? details - version : (long)strlen(version)), version);
    self->launcher = launcher_name();
    return LS_OK;
}

bool pmix_is_up(void) {
    return PMIx_Initialized() != 0;
}

int pmix_finish(ls_error *error) {
    for (; starts > 0; starts--) {
        pmix_status_t status = PMIx_Finalize(NULL, 0);
        if (status != PMIX_SUCCESS)
            return ls_fail(error, LS_FAILED, "PMIx_Finalize: %s", PMIx_Error_string(status));
    }
    return LS_OK;
}
