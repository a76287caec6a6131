/* The end of a job through PMIx. An MPI that meets a dead peer's closed connection, or cannot go on
 * for another reason, calls PMIx_Abort and leaves, whatever its error handlers are (the pml ob1 of
 * Open MPI 4 and 5): the launcher then kills every rank, and the line that names the lost one would
 * never be printed. PMIx has no profiling interface as MPI has, so this program defines the
 * function itself: the dynamic linker takes the executable's first (ELF gABI, "Shared Object
 * Dependencies"), and the library's is the next one. Where MPI has a PMIx of its own built in,
 * nothing changes. */
#include "launch/lifeline.h"
#include "launch/sources.h"

#include <dlfcn.h>
#include <pmix.h>
#include <stdint.h>
#include <string.h>

typedef pmix_status_t (*abort_function)(int, const char *, pmix_proc_t *, size_t);

static pmix_status_t abort_by_library(int code, const char *text, pmix_proc_t *whom, size_t count) {
    void *found = dlsym(RTLD_NEXT, "PMIx_Abort");
    abort_function function;
    if (!found)
        return PMIX_ERR_NOT_FOUND;
    memcpy(&function, &found, sizeof function); /* C has no cast between the two */
    return function(code, text, whom, count);
}

/* A rank that died is the stronger cause: where the lifeline misses one, too, its line says that.
 */
pmix_status_t PMIx_Abort(int status, const char *message, pmix_proc_t procs[], size_t count) {
    ls_error error = {0};
    if (!lifeline_joins_ranks())
        return abort_by_library(status, message, procs, count);
    ls_fail(&error, LS_FAILED, "MPI ended the run with code %d: what it printed says why", status);
    lifeline_fail(&error, 0);
}

void pmix_abort(int code) {
    abort_by_library(code, NULL, NULL, 0);
}
