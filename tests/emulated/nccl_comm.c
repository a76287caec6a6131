/* NCCL's stand-in: communicators. */
#include "nccl_parts.h"

#include "comm/mpi/comm_mpi.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void nccl_enter(ncclComm_t comm, const char *what) {
    if (atomic_fetch_add(&comm->inside, 1) != 0)
        emulated_violation("%s: two threads use one communicator at a time", what);
}

ncclResult_t nccl_leave(ncclComm_t comm, ncclResult_t result) {
    atomic_fetch_sub(&comm->inside, 1);
    return result;
}

ncclResult_t ncclGetVersion(int *version) {
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result) {
    static const char *const texts[] = {"no error",
                                        "unhandled cuda error",
                                        "unhandled system error",
                                        "internal error",
                                        "invalid argument",
                                        "invalid usage",
                                        "remote process exited or there was a network error",
                                        "NCCL operation in progress"};
    return result < ncclNumResults ? texts[result] : "unknown result code";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
    memset(id, 0, sizeof *id);
    snprintf(id->internal, sizeof id->internal, "%d.%u", (int)getpid(), emulated_random(1u << 30));
    return ncclSuccess;
}

/* ---- joining and parting */

static void must(int status, const char *what) {
    if (status != MPI_SUCCESS)
        emulated_violation("nccl: %s failed in MPI", what);
}

/* Where NCCL's own threads would run. */
static void log_units(const struct ncclComm *comm) {
    enum { MOST = 4096 };
    char text[64];
    cpu_set_t *mask = CPU_ALLOC(MOST);
    if (sched_getaffinity(0, CPU_ALLOC_SIZE(MOST), mask) == 0) {
        snprintf(text, sizeof text, "joins on %d units", CPU_COUNT_S(CPU_ALLOC_SIZE(MOST), mask));
        nccl_log(comm, text);
    }
    CPU_FREE(mask);
}

/* Those who have the same id, in the order of their ranks. Where not all ranks of the job are one
 * communicator, all join one each at the same time. */
static void begin_joining(ncclComm_t comm, const char *id) {
    int all;
    unsigned colour = 5381;
    for (; *id; id++)
        colour = colour * 33 + (unsigned char)*id;
    mpi_lock();
    MPI_Comm_size(MPI_COMM_WORLD, &all);
    comm->request = MPI_REQUEST_NULL;
    if (comm->size == all)
        must(MPI_Comm_idup(MPI_COMM_WORLD, &comm->mpi, &comm->request), "joining");
    else
        must(MPI_Comm_split(MPI_COMM_WORLD, (int)(colour & 0x7fffffff), comm->rank, &comm->mpi),
             "joining");
    mpi_unlock();
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *out, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t *config) {
    struct cudaDeviceProp properties;
    if (config->size != sizeof *config || config->magic != 0xcafebeef)
        emulated_violation("ncclCommInitRankConfig: the configuration was not initialised");
    if (config->blocking != 0)
        emulated_violation("ncclCommInitRankConfig: only non-blocking ones are emulated");
    ncclComm_t comm = calloc(1, sizeof *comm);
    *out = comm;
    comm->rank = rank;
    comm->size = size;
    comm->mpi = MPI_COMM_NULL;
    comm->all = calloc((size_t)size, sizeof comm->mine);
    cudaGetDevice(&comm->device);
    cudaGetDeviceProperties(&properties, comm->device);
    snprintf(comm->mine, sizeof comm->mine, "%.40s", id.internal);
    memcpy(comm->mine + sizeof comm->mine - 16, properties.uuid.bytes, 16);
    emulated_count("ncclComm_t", 1);
    log_units(comm);
    int started = 0;
    MPI_Initialized(&started);
    if (!started)
        emulated_violation("nccl: the stand-in works over MPI (mpirun -n 1)");
    begin_joining(comm, comm->mine);
    return ncclInProgress;
}

static bool is_done(ncclComm_t comm) {
    int done = 0;
    mpi_lock();
    must(MPI_Test(&comm->request, &done, MPI_STATUS_IGNORE), "joining");
    mpi_unlock();
    return done;
}

ncclResult_t nccl_break(ncclComm_t comm, ncclResult_t result) {
    comm->state = COMM_BROKEN;
    return comm->async = result;
}

static ncclResult_t compare_ranks(ncclComm_t comm) {
    enum { RECORD = sizeof comm->mine, UUID = RECORD - 16 };
    for (int a = 0; a < comm->size; a++) {
        if (strcmp(comm->all + a * RECORD, comm->mine) != 0)
            emulated_violation("nccl: rank %d joins with another id than rank %d", a, comm->rank);
        for (int b = 0; b < a; b++)
            if (memcmp(comm->all + a * RECORD + UUID, comm->all + b * RECORD + UUID, 16) == 0) {
                nccl_set_last_error("Duplicate GPU detected : rank %d and rank %d", b, a);
                return nccl_break(comm, ncclInvalidUsage);
            }
    }
    comm->state = COMM_READY;
    return ncclSuccess;
}

static ncclResult_t advance_state(ncclComm_t comm) {
    switch (comm->state) {
    case COMM_JOINING:
        if (!is_done(comm))
            return ncclInProgress;
        mpi_lock();
        MPI_Comm_set_errhandler(comm->mpi, MPI_ERRORS_RETURN);
        must(MPI_Iallgather(comm->mine, sizeof comm->mine, MPI_BYTE, comm->all, sizeof comm->mine,
                            MPI_BYTE, comm->mpi, &comm->request),
             "joining");
        mpi_unlock();
        comm->state = COMM_COMPARING;
        return ncclInProgress;
    case COMM_COMPARING:
        return is_done(comm) ? compare_ranks(comm) : ncclInProgress;
    case COMM_PARTING:
        if (!is_done(comm))
            return ncclInProgress;
        comm->state = COMM_PARTED;
        return ncclSuccess;
    case COMM_BROKEN:
        return comm->async;
    case COMM_ABORTED:
        emulated_violation("nccl: a call after ncclCommAbort");
    case COMM_READY:
    case COMM_PARTED:
        break;
    }
    return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *out) {
    nccl_enter(comm, "ncclCommGetAsyncError");
    *out = comm->state == COMM_READY && comm->waiting ? nccl_advance_submission(comm)
                                                      : advance_state(comm);
    return nccl_leave(comm, ncclSuccess);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
    nccl_enter(comm, "ncclCommFinalize");
    if (comm->state != COMM_READY || comm->waiting)
        emulated_violation("ncclCommFinalize: the communicator is not at rest");
    comm->state = COMM_PARTING;
    mpi_lock();
    must(MPI_Ibarrier(comm->mpi, &comm->request), "parting");
    mpi_unlock();
    return nccl_leave(comm, ncclInProgress);
}

/* What is still in a stream, or in a graph, finds COMM_PARTED or COMM_ABORTED: nothing is freed. */
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
    nccl_enter(comm, "ncclCommDestroy");
    if (comm->state != COMM_PARTED)
        emulated_violation("ncclCommDestroy: not finalized, or not waited for");
    mpi_lock();
    MPI_Comm_free(&comm->mpi);
    mpi_unlock();
    emulated_count("ncclComm_t", -1);
    return nccl_leave(comm, ncclSuccess);
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
    nccl_enter(comm, "ncclCommAbort");
    nccl_log(comm, "aborted");
    comm->state = COMM_ABORTED;
    emulated_count("ncclComm_t", -1);
    return nccl_leave(comm, ncclSuccess);
}
