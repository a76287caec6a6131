/* What NCCL's stand-in puts into streams: the collectives of a batch, one phase at a time, so that
 * other device work may run while ranks wait for one another. Data is staged through host memory;
 * every rank gathers all ranks' input and reduces it in the order of the ranks. */
#include "nccl_parts.h"

#include "comm/mpi/comm_mpi.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BEGIN, HEADERS, DATA, DONE };
enum { HEADER = sizeof((op *)0)->header / sizeof(int), TAG = 1 };

static void must(int status, const char *what) {
    if (status != MPI_SUCCESS)
        emulated_violation("nccl: %s failed in MPI (unlike calls on two ranks?)", what);
}

static size_t bytes_of(const op *self) {
    return self->count * nccl_type_bytes(self->type);
}

/* Of this rank's input, of its result: allgather's input and reduce_scatter's result are parts. */
static size_t input_bytes(const op *self, int size) {
    return bytes_of(self) * (self->kind == OP_REDUCE_SCATTER ? (size_t)size : 1);
}

static size_t gathered_bytes(const op *self, int size) {
    return self->kind == OP_RECEIVE || self->kind == OP_BROADCAST
               ? bytes_of(self)
               : input_bytes(self, size) * (size_t)size;
}

static bool is_point_to_point(const op *self) {
    return self->kind == OP_SEND || self->kind == OP_RECEIVE;
}

static bool is_done(MPI_Request *request) {
    int done = 0;
    must(MPI_Test(request, &done, MPI_STATUS_IGNORE), "a collective");
    return done;
}

/* Ranks that call unlike collectives hang or corrupt memory with NCCL. */
static void begin_headers(ncclComm_t comm, op *self) {
    self->header[0] = self->kind;
    self->header[1] = (int)self->count;
    self->header[2] = self->type;
    self->header[3] = self->how;
    self->header[4] = self->other;
    self->headers = malloc((size_t)comm->size * sizeof self->header);
    must(MPI_Iallgather(self->header, HEADER, MPI_INT, self->headers, HEADER, MPI_INT, comm->mpi,
                        &self->request),
         "comparing calls");
}

static void compare_headers(ncclComm_t comm, op *self) {
    for (int rank = 0; rank < comm->size; rank++)
        if (memcmp(self->header, self->headers + rank * HEADER, sizeof self->header) != 0)
            emulated_violation("nccl: %s of %d elements on rank %d, %s of %d on rank %d",
                               nccl_op_name(self->kind), self->header[1], comm->rank,
                               nccl_op_name((op_kind)self->headers[rank * HEADER]),
                               self->headers[rank * HEADER + 1], rank);
    free(self->headers);
    self->headers = NULL;
}

static void begin_data(ncclComm_t comm, op *self) {
    size_t input = input_bytes(self, comm->size);
    bool is_source =
        self->kind != OP_RECEIVE && (self->kind != OP_BROADCAST || comm->rank == self->other);
    if (input * (size_t)comm->size > INT_MAX)
        emulated_violation("nccl: more bytes than the stand-in moves");
    self->mine = malloc(input + 1);
    self->theirs = malloc(gathered_bytes(self, comm->size) + 1);
    if (is_source)
        memcpy(self->mine, self->from, input);
    switch (self->kind) {
    case OP_SEND:
        must(MPI_Isend(self->mine, (int)input, MPI_BYTE, self->other, TAG, comm->mpi,
                       &self->request),
             "a send");
        break;
    case OP_RECEIVE:
        must(MPI_Irecv(self->theirs, (int)input, MPI_BYTE, self->other, TAG, comm->mpi,
                       &self->request),
             "a receive");
        break;
    case OP_BROADCAST:
        if (is_source)
            memcpy(self->theirs, self->mine, input);
        must(MPI_Ibcast(self->theirs, (int)input, MPI_BYTE, self->other, comm->mpi, &self->request),
             "a broadcast");
        break;
    default:
        must(MPI_Iallgather(self->mine, (int)input, MPI_BYTE, self->theirs, (int)input, MPI_BYTE,
                            comm->mpi, &self->request),
             "an exchange");
    }
}

/* `count` elements from `first` of every rank's input, reduced into self->to. */
static void reduce_all(ncclComm_t comm, op *self, size_t first) {
    size_t input = input_bytes(self, comm->size);
    size_t skip = first * nccl_type_bytes(self->type);
    char *sum = malloc(bytes_of(self) + 1);
    memcpy(sum, self->theirs + skip, bytes_of(self));
    for (int rank = 1; rank < comm->size; rank++)
        nccl_reduce_into(sum, self->theirs + (size_t)rank * input + skip, self->count, self->type,
                         self->how);
    memcpy(self->to, sum, bytes_of(self));
    free(sum);
}

static void end_data(ncclComm_t comm, op *self) {
    switch (self->kind) {
    case OP_ALLREDUCE:
        reduce_all(comm, self, 0);
        break;
    case OP_REDUCE:
        if (comm->rank == self->other)
            reduce_all(comm, self, 0);
        break;
    case OP_REDUCE_SCATTER:
        reduce_all(comm, self, (size_t)comm->rank * self->count);
        break;
    case OP_ALLGATHER:
    case OP_BROADCAST:
    case OP_RECEIVE:
        memcpy(self->to, self->theirs, gathered_bytes(self, comm->size));
        break;
    case OP_SEND:
        break;
    }
    free(self->mine);
    free(self->theirs);
}

static bool advance(ncclComm_t comm, op *self) {
    if (self->phase == BEGIN && is_point_to_point(self)) {
        begin_data(comm, self);
        self->phase = DATA;
    } else if (self->phase == BEGIN) {
        begin_headers(comm, self);
        self->phase = HEADERS;
    }
    if (self->phase == HEADERS && is_done(&self->request)) {
        compare_headers(comm, self);
        begin_data(comm, self);
        self->phase = DATA;
    }
    if (self->phase == DATA && is_done(&self->request)) {
        end_data(comm, self);
        self->phase = DONE;
    }
    return self->phase == DONE;
}

/* Sends and receives need one another, so all of them go on at once; MPI wants collectives begun in
 * one order on all ranks, so they go on one after another. */
static bool advance_group(batch *self) {
    bool done = true;
    for (int index = 0; index < self->count; index++)
        if (done || is_point_to_point(&self->ops[index]))
            done = advance(self->comm, &self->ops[index]) && done;
    return done;
}

static void begin_run(batch *self) {
    ncclComm_t comm = self->comm;
    self->begun = 1;
    comm->runs++;
    switch (nccl_fault_of_run(comm)) {
    case FAULT_EXIT:
        raise(SIGKILL);
        break;
    case FAULT_SYSTEM:
    case FAULT_REMOTE:
        comm->async = nccl_fault_of_run(comm) == FAULT_SYSTEM ? ncclSystemError : ncclRemoteError;
        comm->state = COMM_BROKEN;
        nccl_set_last_error("the stand-in was told to break");
        self->stuck = 1;
        break;
    case FAULT_STALL:
        self->stuck = 1;
        break;
    default:
        break;
    }
}

static emulated_progress run(void *context) {
    batch *self = context;
    ncclComm_t comm = self->comm;
    bool done;
    if (comm->state == COMM_ABORTED)
        return EMULATED_DONE; /* the kernels of an aborted communicator leave */
    if (comm->state == COMM_PARTED)
        emulated_violation("nccl: a collective runs after its communicator was destroyed");
    if (!self->begun)
        begin_run(self);
    if (self->stuck)
        return EMULATED_AGAIN;
    mpi_lock();
    done = advance_group(self);
    mpi_unlock();
    return done ? EMULATED_DONE : EMULATED_AGAIN;
}

void nccl_enqueue(const batch *what, size_t bytes, cudaStream_t stream) {
    char label[64];
    snprintf(label, sizeof label, "nccl: %s of %zu (%d in the group)",
             nccl_op_name(what->ops[0].kind), what->ops[0].count, what->count);
    emulated_enqueue(stream, run, what, bytes, label);
}
