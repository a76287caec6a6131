/* NCCL's stand-in: groups and collectives. */
#include "nccl_parts.h"

#include <stdlib.h>
#include <string.h>

ncclResult_t nccl_advance_submission(ncclComm_t comm) {
    if (--comm->asks_left > 0)
        return ncclInProgress;
    nccl_enqueue(comm->waiting, comm->waiting_bytes, comm->waiting_stream);
    free(comm->waiting);
    comm->waiting = NULL;
    return ncclSuccess;
}

static _Thread_local struct {
    int depth, count;
    ncclComm_t comm;
    cudaStream_t stream;
    op ops[NCCL_MOST_OPS];
} group;

static ncclResult_t submit(void) {
    ncclComm_t comm = group.comm;
    size_t bytes = sizeof(batch) + (size_t)group.count * sizeof(op);
    if (group.count == 0)
        return ncclSuccess;
    nccl_enter(comm, "a collective");
    if (comm->state == COMM_BROKEN)
        return nccl_leave(comm, comm->async);
    if (comm->state != COMM_READY)
        emulated_violation("nccl: a collective on a communicator that is not ready");
    if (comm->waiting)
        emulated_violation("nccl: a collective while another call is in progress");
    comm->calls++;
    if (nccl_fault_of_call(comm) == FAULT_REFUSE) {
        nccl_set_last_error("the stand-in was told to refuse");
        return nccl_leave(comm, nccl_break(comm, ncclSystemError));
    }
    comm->waiting = calloc(1, bytes);
    comm->waiting->comm = comm;
    comm->waiting->count = group.count;
    memcpy(comm->waiting->ops, group.ops, (size_t)group.count * sizeof(op));
    comm->waiting_bytes = bytes;
    comm->waiting_stream = group.stream;
    comm->asks_left = (int)emulated_random(4);
    group.count = 0;
    return nccl_leave(comm, comm->asks_left == 0 ? nccl_advance_submission(comm) : ncclInProgress);
}

static ncclResult_t call(ncclComm_t comm, cudaStream_t stream, op what, size_t from_bytes,
                         size_t to_bytes) {
    int device = -1;
    cudaGetDevice(&device);
    if (device != comm->device)
        emulated_violation("nccl: called with another GPU than the communicator's");
    emulated_check_stream(stream, "nccl");
    emulated_check_device(what.from, from_bytes, nccl_op_name(what.kind));
    emulated_check_device(what.to, to_bytes, nccl_op_name(what.kind));
    if (group.count > 0 && (group.comm != comm || group.stream != stream))
        emulated_violation("nccl: a group over two communicators or streams is not emulated");
    if (group.count == NCCL_MOST_OPS)
        emulated_violation("nccl: more than %d calls in a group", NCCL_MOST_OPS);
    group.comm = comm;
    group.stream = stream;
    group.ops[group.count++] = what;
    return group.depth > 0 ? ncclSuccess : submit();
}

ncclResult_t ncclGroupStart(void) {
    group.depth++;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void) {
    if (group.depth == 0)
        emulated_violation("ncclGroupEnd without ncclGroupStart");
    return --group.depth > 0 ? ncclSuccess : submit();
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclRedOp_t how, ncclComm_t comm, cudaStream_t stream) {
    size_t bytes = count * nccl_type_bytes(type);
    op what = {
        .kind = OP_ALLREDUCE, .from = from, .to = to, .count = count, .type = type, .how = how};
    return call(comm, stream, what, bytes, bytes);
}

ncclResult_t ncclReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                        ncclRedOp_t how, int root, ncclComm_t comm, cudaStream_t stream) {
    size_t bytes = count * nccl_type_bytes(type);
    op what = {.kind = OP_REDUCE,
               .from = from,
               .to = to,
               .count = count,
               .type = type,
               .how = how,
               .other = root};
    return call(comm, stream, what, bytes, comm->rank == root ? bytes : 0);
}

ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
    size_t bytes = count * nccl_type_bytes(type);
    op what = {
        .kind = OP_BROADCAST, .from = from, .to = to, .count = count, .type = type, .other = root};
    return call(comm, stream, what, comm->rank == root ? bytes : 0, bytes);
}

ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
    size_t bytes = count * nccl_type_bytes(type);
    op what = {.kind = OP_ALLGATHER, .from = from, .to = to, .count = count, .type = type};
    return call(comm, stream, what, bytes, bytes * (size_t)comm->size);
}

ncclResult_t ncclReduceScatter(const void *from, void *to, size_t count, ncclDataType_t type,
                               ncclRedOp_t how, ncclComm_t comm, cudaStream_t stream) {
    size_t bytes = count * nccl_type_bytes(type);
    op what = {.kind = OP_REDUCE_SCATTER,
               .from = from,
               .to = to,
               .count = count,
               .type = type,
               .how = how};
    return call(comm, stream, what, bytes * (size_t)comm->size, bytes);
}

ncclResult_t ncclSend(const void *from, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
    op what = {.kind = OP_SEND, .from = from, .count = count, .type = type, .other = peer};
    return call(comm, stream, what, count * nccl_type_bytes(type), 0);
}

ncclResult_t ncclRecv(void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
    op what = {.kind = OP_RECEIVE, .to = to, .count = count, .type = type, .other = peer};
    return call(comm, stream, what, 0, count * nccl_type_bytes(type));
}
