/* NCCL's stand-in: what its files share. nccl_comm.c has communicators, nccl_calls.c collectives,
 * nccl_run.c is what the calls put into streams, nccl_faults.c breaks what it is told to break.
 *
 * Ranks are processes under mpirun; data goes over MPI, by the lock that all MPI calls of the
 * program go by. Communicators are non-blocking: a call is often in progress for a while, and
 * what it puts into its stream is put there only when the program has asked
 * (ncclCommGetAsyncError) often enough; a program that goes on too early finds its stream empty.
 * Two ranks on one GPU are refused, as NCCL does. Two threads in one communicator at a time, memory
 * that is not the device's, an unlike call on another rank: violations. */
#ifndef LOCKSTEP_TESTS_EMULATED_NCCL_PARTS_H
#define LOCKSTEP_TESTS_EMULATED_NCCL_PARTS_H

#include "emulated.h"

#include <mpi.h>
#include <nccl.h>
#include <stdatomic.h>
#include <stdint.h>

enum { NCCL_MOST_OPS = 64 }; /* in a group */

typedef enum {
    OP_ALLREDUCE,
    OP_REDUCE_SCATTER,
    OP_ALLGATHER,
    OP_BROADCAST,
    OP_REDUCE,
    OP_SEND,
    OP_RECEIVE
} op_kind;

/* One call. `count` is the call's argument: for reduce_scatter and allgather one rank's part. */
typedef struct op {
    op_kind kind;
    const char *from;
    char *to;
    size_t count;
    ncclDataType_t type;
    ncclRedOp_t how;
    int other; /* root or peer */
    /* While it runs: */
    int header[5], *headers; /* this rank's; [size][5] */
    char *mine, *theirs;     /* host memory: sent and received */
    MPI_Request request;
    int phase;
} op;

/* What one call, or one group, puts into the stream: the context of an emulated_work. */
typedef struct batch {
    ncclComm_t comm;
    int count, begun, stuck;
    op ops[]; /* [count] */
} batch;

typedef enum {
    COMM_JOINING,
    COMM_COMPARING, /* joined; GPUs are compared */
    COMM_READY,
    COMM_PARTING,
    COMM_PARTED,
    COMM_BROKEN,
    COMM_ABORTED
} comm_state;

struct ncclComm {
    comm_state state;
    ncclResult_t async; /* where COMM_BROKEN */
    int rank, size, device;
    atomic_int inside; /* threads in a call */
    uint64_t calls, runs;
    MPI_Comm mpi;
    MPI_Request request;
    char mine[64], *all; /* [size][64]: id and GPU of each rank */
    /* A submission that the program was told is in progress: */
    batch *waiting;
    size_t waiting_bytes;
    cudaStream_t waiting_stream;
    int asks_left;
};

size_t nccl_type_bytes(ncclDataType_t type);
const char *nccl_op_name(op_kind kind);

/* into[i] = into[i] (how) from[i], rounded to the type. */
void nccl_reduce_into(void *into, const void *from, size_t count, ncclDataType_t type,
                      ncclRedOp_t how);

/* Around each call: a violation where two threads are in one communicator. */
void nccl_enter(ncclComm_t comm, const char *what);
ncclResult_t nccl_leave(ncclComm_t comm, ncclResult_t result);

/* The communicator is of no use any more, for this reason; returns it. */
ncclResult_t nccl_break(ncclComm_t comm, ncclResult_t result);

/* The program asks whether its call is still in progress: a submission comes closer. */
ncclResult_t nccl_advance_submission(ncclComm_t comm);

/* Puts the batch into the stream. */
void nccl_enqueue(const batch *what, size_t bytes, cudaStream_t stream);

/* LOCKSTEP_EMULATED_NCCL="KIND:NUMBER:RANK" breaks something on that rank:
 *   refuse  its call NUMBER (1, 2, ...; a group counts once) returns ncclSystemError
 *   system  the run NUMBER of a call on the device (replays count) gives the communicator an
 *   remote  asynchronous ncclSystemError, ncclRemoteError, and never ends
 *   stall   that run never ends
 *   exit    that run ends the process by SIGKILL */
typedef enum {
    FAULT_NONE,
    FAULT_REFUSE,
    FAULT_SYSTEM,
    FAULT_REMOTE,
    FAULT_STALL,
    FAULT_EXIT
} fault;
fault nccl_fault_of_call(const struct ncclComm *comm);
fault nccl_fault_of_run(const struct ncclComm *comm);

/* LOCKSTEP_EMULATED_NCCL_LOG=FILE: appends "rank R: TEXT". */
void nccl_log(const struct ncclComm *comm, const char *text);

/* What ncclGetLastError says from now on. */
void nccl_set_last_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
