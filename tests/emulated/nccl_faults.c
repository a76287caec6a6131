/* What NCCL's stand-in breaks when it is told to, and what it writes down. */
#include "nccl_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fault told(const struct ncclComm *comm, uint64_t number) {
    static const char *const names[] = {"", "refuse", "system", "remote", "stall", "exit"};
    const char *text = getenv("LOCKSTEP_EMULATED_NCCL");
    char kind[16];
    unsigned long long at;
    int rank;
    if (!text || !*text)
        return FAULT_NONE;
    if (sscanf(text, "%15[a-z]:%llu:%d", kind, &at, &rank) != 3)
        emulated_violation("LOCKSTEP_EMULATED_NCCL: expected KIND:NUMBER:RANK, found '%s'", text);
    for (int index = 1; index < (int)(sizeof names / sizeof names[0]); index++)
        if (strcmp(kind, names[index]) == 0)
            return rank == comm->rank && at == number ? (fault)index : FAULT_NONE;
    emulated_violation("LOCKSTEP_EMULATED_NCCL: no such kind: '%s'", kind);
}

fault nccl_fault_of_call(const struct ncclComm *comm) {
    return told(comm, comm->calls) == FAULT_REFUSE ? FAULT_REFUSE : FAULT_NONE;
}

fault nccl_fault_of_run(const struct ncclComm *comm) {
    fault which = told(comm, comm->runs);
    return which == FAULT_REFUSE ? FAULT_NONE : which;
}

void nccl_log(const struct ncclComm *comm, const char *text) {
    const char *path = getenv("LOCKSTEP_EMULATED_NCCL_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file)
        return;
    fprintf(file, "rank %d: %s\n", comm->rank, text);
    fclose(file);
}

static char last_error[256];

void nccl_set_last_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_error, sizeof last_error, format, arguments);
    va_end(arguments);
}

const char *ncclGetLastError(ncclComm_t comm) {
    (void)comm;
    return last_error;
}
