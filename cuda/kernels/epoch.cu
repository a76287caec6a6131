// The begin of an epoch: its number and cursor in the steps' states, and the order of its samples,
// which a thread an element computes by the same permutation as the host.
#include "base/feistel.h"
#include "cuda/kernels/vector.cuh"

enum { THREADS = 256 };

static __global__ void begin_epoch(const epoch_arguments a, int64_t count) {
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at < a.state_count) {
        a.states[at].epoch = a.epoch;
        a.states[at].cursor = 0;
    }
    if (at >= count)
        return;
    int64_t batch = a.batches - 1, within = at - batch * a.part.count;
    if (within < 0) {
        batch = at / a.part.count;
        within = at - batch * a.part.count;
    }
    int64_t first = batch < a.batches - 1 ? a.part.first : a.last_part.first;
    int64_t position = batch * a.batch + first + within;
    a.order[at] = a.same ? within : a.shuffled ? feistel_walk(&a.shuffle, position) : position;
}

cudaError_t kernel_begin_epoch(cudaStream_t stream, const epoch_arguments *a) {
    int64_t count = epoch_order_count(a), threads = count > a->state_count ? count : a->state_count;
    if (!threads)
        return cudaSuccess;
    if (threads > (int64_t)INT32_MAX * THREADS)
        return cudaErrorInvalidValue;
    return LS_LAUNCH(begin_epoch, blocks_for((size_t)threads, THREADS), THREADS, stream, *a, count);
}
