/* The fixed tree's sum over ranks (comm/tree.h) with NCCL, whose own reductions choose their order
 * by algorithm, number of ranks and size. Each rank's rows are added on the GPU; then each rank
 * sends every other one that one's block of the array, adds up its own block's from all ranks, in
 * the tree, and the blocks are gathered: as many bytes as a ring's all-reduce. All of it stands in
 * the comm's stream (but the rows, in the caller's) and can be recorded. */
#include "cuda/nccl/comm_nccl.h"

#include "comm/tree.h"
#include "device/ops.h"

enum { ALIGNMENT = 16 }; /* bytes: of what the kernels read at once */

static size_t border(const nccl_comm *self, size_t count, int block) {
    return block == self->base.size ? count : count / (size_t)self->base.size * (size_t)block;
}

static size_t block_length(const nccl_comm *self, size_t count, int block) {
    return border(self, count, block + 1) - border(self, count, block);
}

/* Where what `from` has of the own block comes to, aligned as the block itself. */
static float *aside(const nccl_comm *self, const float *own, size_t length, int from) {
    size_t place = (length * sizeof(float) + 2 * ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return (float *)(void *)((char *)self->scratch + place * (size_t)from +
                             (uintptr_t)own % ALIGNMENT);
}

static int make_room(nccl_comm *self, size_t count, ls_error *error) {
    device *device = self->settings.device;
    size_t longest = block_length(self, count, self->base.size - 1);
    size_t needed = (size_t)self->base.size * (longest * sizeof(float) + 2 * ALIGNMENT);
    if (needed <= self->scratch_bytes)
        return LS_OK;
    LS_TRY(nccl_cuda_check(cudaStreamSynchronize(self->stream), "waiting for a stream", error));
    if (self->scratch)
        device->is->release(device, self->scratch);
    self->scratch = NULL;
    self->scratch_bytes = 0;
    LS_TRY(device->is->allocate(device, needed, "a sum over ranks", &self->scratch, error));
    self->scratch_bytes = needed;
    return LS_OK;
}

static void note(ncclResult_t *all, ncclResult_t one) {
    if (one != ncclSuccess && one != ncclInProgress && *all == ncclSuccess)
        *all = one;
}

static ncclResult_t put_exchange(nccl_comm *self, const nccl_call *call) {
    size_t count = call->name.count;
    float *buffer = (float *)(void *)call->to, *own = buffer + border(self, count, self->base.rank);
    size_t mine = block_length(self, count, self->base.rank);
    ncclResult_t result = ncclGroupStart();
    for (int other = 0; other < self->base.size; other++) {
        size_t theirs = block_length(self, count, other);
        if (other == self->base.rank)
            continue;
        if (theirs > 0)
            note(&result, ncclSend(buffer + border(self, count, other), theirs, ncclFloat32, other,
                                   self->nccl, self->stream));
        if (mine > 0)
            note(&result, ncclRecv(aside(self, own, mine, other), mine, ncclFloat32, other,
                                   self->nccl, self->stream));
    }
    ncclResult_t end = ncclGroupEnd();
    return result == ncclSuccess ? end : result;
}

static ncclResult_t put_sharing(nccl_comm *self, const nccl_call *call) {
    size_t count = call->name.count;
    float *buffer = (float *)(void *)call->to;
    ncclResult_t result = ncclGroupStart();
    for (int rank = 0; rank < self->base.size; rank++) {
        float *block = buffer + border(self, count, rank);
        size_t length = block_length(self, count, rank);
        if (length > 0)
            note(&result,
                 ncclBroadcast(block, block, length, ncclFloat32, rank, self->nccl, self->stream));
    }
    ncclResult_t end = ncclGroupEnd();
    return result == ncclSuccess ? end : result;
}

/* In the comm's stream. */
static int add_up(nccl_comm *self, float *own, size_t length, ls_error *error) {
    device *device = self->settings.device;
    device_stream *stream = (device_stream *)self->stream;
    int size = self->base.size;
    float *leaves[size];
    if (length == 0)
        return LS_OK;
    for (int rank = 0; rank < size; rank++)
        leaves[rank] = rank == self->base.rank ? own : aside(self, own, length, rank);
    for (int step = 1; step < size; step *= 2)
        for (int leaf = 0; leaf + step < size; leaf += 2 * step)
            LS_TRY(device->is->ops->add(device, stream, length, DTYPE_F32, leaves[leaf + step],
                                        leaves[leaf], error));
    if (leaves[0] == own)
        return LS_OK;
    return device->is->copy(device, stream, own, leaves[0], length * sizeof(float), COPY_ON_DEVICE,
                            error);
}

/* In the comm's stream nothing can come between a call and the next: the first one's end need not
 * be waited for. */
static int issue_unwaited(nccl_comm *self, device_stream *stream, const nccl_call *call,
                          ls_error *error) {
    comm_work work = {0};
    LS_TRY(nccl_issue(self, stream, call, &work, error));
    ((nccl_slot *)work.handle)->held = false;
    return LS_OK;
}

int nccl_sum_tree(comm *base, device_stream *stream, void *buffer, size_t count, int rows,
                  size_t stride, dtype type, comm_work *work, ls_error *error) {
    nccl_comm *self = (nccl_comm *)base;
    float *values = buffer;
    nccl_call call = {
        .name = {.what = "sum_tree", .count = count, .type = type}, .to = buffer, .from = buffer};
    if (type != DTYPE_F32 || !stream)
        return ls_fail(error, LS_FAILED, "nccl sum_tree: expected fp32 in device memory");
    LS_TRY(tree_sum_rows_on(self->settings.device, stream, buffer, rows, stride, count, error));
    cuda_enter(self->settings.device);
    LS_TRY(make_room(self, count, error));
    call.put = put_exchange;
    LS_TRY(issue_unwaited(self, stream, &call, error));
    LS_TRY(add_up(self, values + border(self, count, base->rank),
                  block_length(self, count, base->rank), error));
    call.put = put_sharing;
    return nccl_issue(self, stream, &call, work, error);
}
