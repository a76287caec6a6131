/* Each collective of comm.h as NCCL calls. Where the ranks' parts differ in length, an all-gather
 * is a group of broadcasts and a reduce-scatter a group of reductions; scatter and gather are
 * groups of sends and receives. A part of no elements makes no call, on any rank. */
#include "cuda/nccl/comm_nccl.h"

/* ncclBfloat16, which older headers declare for C++ alone. The number is the library's. */
enum { NCCL_BFLOAT16 = 9 };
#if NCCL_VERSION_CODE >= 22800
_Static_assert((int)ncclBfloat16 == NCCL_BFLOAT16, "NCCL's number of bf16");
#endif

static ncclDataType_t type_of(dtype type) {
    static const ncclDataType_t types[] = {
        [DTYPE_F32] = ncclFloat32, [DTYPE_BF16] = (ncclDataType_t)NCCL_BFLOAT16,
        [DTYPE_F16] = ncclFloat16, [DTYPE_F64] = ncclFloat64,
        [DTYPE_U8] = ncclUint8,    [DTYPE_I32] = ncclInt32,
        [DTYPE_I64] = ncclInt64};
    return types[type];
}

static ncclRedOp_t operation_of(reduction how) {
    return how == REDUCTION_SUM ? ncclSum : how == REDUCTION_MAX ? ncclMax : ncclMin;
}

static bool are_equal(const nccl_comm *self, const int64_t *counts) {
    for (int rank = 1; rank < self->base.size; rank++)
        if (counts[rank] != counts[0])
            return false;
    return true;
}

static int64_t total_of(const nccl_comm *self, const int64_t *counts) {
    int64_t total = 0;
    for (int rank = 0; rank < self->base.size; rank++)
        total += counts[rank];
    return total;
}

/* The first result that is no success (in progress counts as one: the group's end tells). */
static void note(ncclResult_t *all, ncclResult_t one) {
    if (one != ncclSuccess && one != ncclInProgress && *all == ncclSuccess)
        *all = one;
}

/* The group is closed in any case; its end's result counts where the calls were fine. */
static ncclResult_t end_group(ncclResult_t calls) {
    ncclResult_t end = ncclGroupEnd();
    return calls == ncclSuccess ? end : calls;
}

/* Where each rank's part starts, one after another. */
static char *part_at(const nccl_call *call, const char *buffer, int64_t first) {
    return (char *)buffer + (size_t)first * dtype_bytes(call->name.type);
}

static ncclResult_t put_allreduce(nccl_comm *self, const nccl_call *call) {
    return ncclAllReduce(call->from, call->to, call->name.count, type_of(call->name.type),
                         operation_of(call->how), self->nccl, self->stream);
}

static ncclResult_t put_broadcast(nccl_comm *self, const nccl_call *call) {
    return ncclBroadcast(call->from, call->to, call->name.count, type_of(call->name.type),
                         call->root, self->nccl, self->stream);
}

static ncclResult_t put_reduce(nccl_comm *self, const nccl_call *call) {
    return ncclReduce(call->from, call->to, call->name.count, type_of(call->name.type),
                      operation_of(call->how), call->root, self->nccl, self->stream);
}

static ncclResult_t put_reduce_scatter(nccl_comm *self, const nccl_call *call) {
    ncclDataType_t type = type_of(call->name.type);
    ncclRedOp_t how = operation_of(call->how);
    const int64_t *counts = call->counts;
    int64_t first = 0;
    if (are_equal(self, counts))
        return ncclReduceScatter(call->from, part_at(call, call->to, self->base.rank * counts[0]),
                                 (size_t)counts[0], type, how, self->nccl, self->stream);
    ncclResult_t result = ncclGroupStart();
    for (int rank = 0; rank < self->base.size; rank++) {
        char *part = part_at(call, call->to, first);
        if (counts[rank] > 0)
            note(&result, ncclReduce(part, part, (size_t)counts[rank], type, how, rank, self->nccl,
                                     self->stream));
        first += counts[rank];
    }
    return end_group(result);
}

static ncclResult_t put_allgather(nccl_comm *self, const nccl_call *call) {
    ncclDataType_t type = type_of(call->name.type);
    const int64_t *counts = call->counts;
    int64_t first = 0;
    if (are_equal(self, counts))
        return ncclAllGather(part_at(call, call->to, self->base.rank * counts[0]), call->to,
                             (size_t)counts[0], type, self->nccl, self->stream);
    ncclResult_t result = ncclGroupStart();
    for (int rank = 0; rank < self->base.size; rank++) {
        char *part = part_at(call, call->to, first);
        if (counts[rank] > 0)
            note(&result, ncclBroadcast(part, part, (size_t)counts[rank], type, rank, self->nccl,
                                        self->stream));
        first += counts[rank];
    }
    return end_group(result);
}

/* The root's own part goes by the same group: NCCL copies within the GPU. */
static ncclResult_t put_scatter(nccl_comm *self, const nccl_call *call) {
    ncclDataType_t type = type_of(call->name.type);
    int64_t first = 0, mine = call->counts[self->base.rank];
    ncclResult_t result = ncclGroupStart();
    for (int rank = 0; self->base.rank == call->root && rank < self->base.size; rank++) {
        int64_t count = call->counts[rank];
        if (count > 0)
            note(&result, ncclSend(part_at(call, call->from, first), (size_t)count, type, rank,
                                   self->nccl, self->stream));
        first += count;
    }
    if (mine > 0)
        note(&result, ncclRecv(call->to, (size_t)mine, type, call->root, self->nccl, self->stream));
    return end_group(result);
}

static ncclResult_t put_gather(nccl_comm *self, const nccl_call *call) {
    ncclDataType_t type = type_of(call->name.type);
    int64_t first = 0, mine = call->counts[self->base.rank];
    ncclResult_t result = ncclGroupStart();
    if (mine > 0)
        note(&result,
             ncclSend(call->from, (size_t)mine, type, call->root, self->nccl, self->stream));
    for (int rank = 0; self->base.rank == call->root && rank < self->base.size; rank++) {
        int64_t count = call->counts[rank];
        if (count > 0)
            note(&result, ncclRecv(part_at(call, call->to, first), (size_t)count, type, rank,
                                   self->nccl, self->stream));
        first += count;
    }
    return end_group(result);
}

static collective_name name_of(const char *what, size_t count, dtype type) {
    return (collective_name){.what = what, .count = count, .type = type};
}

/* `counts` NULL: call->name.count is set. */
static int issue_parts(comm *base, device_stream *stream, const char *what, const int64_t *counts,
                       dtype type, nccl_call call, comm_work *work, ls_error *error) {
    nccl_comm *self = (nccl_comm *)base;
    call.counts = counts;
    call.name = name_of(what, (size_t)total_of(self, counts), type);
    return nccl_issue(self, stream, &call, work, error);
}

int nccl_allreduce(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                   reduction how, comm_work *work, ls_error *error) {
    nccl_call call = {.name = name_of("allreduce", count, type),
                      .from = buffer,
                      .to = buffer,
                      .how = how,
                      .put = put_allreduce};
    return nccl_issue((nccl_comm *)base, stream, &call, work, error);
}

int nccl_broadcast(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                   int root, comm_work *work, ls_error *error) {
    nccl_call call = {.name = name_of("broadcast", count, type),
                      .from = buffer,
                      .to = buffer,
                      .root = root,
                      .put = put_broadcast};
    return nccl_issue((nccl_comm *)base, stream, &call, work, error);
}

int nccl_reduce(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                reduction how, int root, comm_work *work, ls_error *error) {
    nccl_call call = {.name = name_of("reduce", count, type),
                      .from = buffer,
                      .to = buffer,
                      .how = how,
                      .root = root,
                      .put = put_reduce};
    return nccl_issue((nccl_comm *)base, stream, &call, work, error);
}

int nccl_reduce_scatter(comm *base, device_stream *stream, void *buffer, const int64_t *counts,
                        dtype type, reduction how, comm_work *work, ls_error *error) {
    nccl_call call = {.from = buffer, .to = buffer, .how = how, .put = put_reduce_scatter};
    return issue_parts(base, stream, "reduce_scatter", counts, type, call, work, error);
}

int nccl_allgather(comm *base, device_stream *stream, void *buffer, const int64_t *counts,
                   dtype type, comm_work *work, ls_error *error) {
    nccl_call call = {.from = buffer, .to = buffer, .put = put_allgather};
    return issue_parts(base, stream, "allgather", counts, type, call, work, error);
}

int nccl_scatter(comm *base, device_stream *stream, const void *whole, void *part,
                 const int64_t *counts, dtype type, int root, comm_work *work, ls_error *error) {
    nccl_call call = {.from = whole, .to = part, .root = root, .put = put_scatter};
    return issue_parts(base, stream, "scatter", counts, type, call, work, error);
}

int nccl_gather(comm *base, device_stream *stream, const void *part, void *whole,
                const int64_t *counts, dtype type, int root, comm_work *work, ls_error *error) {
    nccl_call call = {.from = part, .to = whole, .root = root, .put = put_gather};
    return issue_parts(base, stream, "gather", counts, type, call, work, error);
}
