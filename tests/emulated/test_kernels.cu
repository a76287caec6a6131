// Kernels for test_runtime.cc: right ones, and ones with the mistakes that the emulation is there
// to find.
#include "cuda/kernels/launch.cuh"

#include "test_kernels.h"

static __global__ void add_one(int *values, int count) {
    int at = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (at < count)
        values[at]++;
}

static __global__ void reverse(int *values, bool barrier) {
    __shared__ int all[256];
    all[threadIdx.x] = values[threadIdx.x];
    if (barrier)
        __syncthreads();
    values[threadIdx.x] = all[blockDim.x - 1 - threadIdx.x];
}

// sums[block] = the block's sum by shuffles and shared memory; votes[block]: values above 0.
static __global__ void block_sums(const int *values, int count, int *sums, int *votes) {
    __shared__ int of_warp[32];
    int at = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    int value = at < count ? values[at] : 0;
    unsigned above = __ballot_sync(0xffffffffu, value > 0);
    if (threadIdx.x % warpSize == 0)
        atomicAdd(votes + blockIdx.x, __popc(above));
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_down_sync(0xffffffffu, value, offset);
    if (threadIdx.x % warpSize == 0)
        of_warp[threadIdx.x / warpSize] = value;
    __syncthreads();
    if (threadIdx.x == 0) {
        int sum = 0;
        for (unsigned warp = 0; warp < blockDim.x / warpSize; warp++)
            sum += of_warp[warp];
        sums[blockIdx.x] = sum;
    }
}

// out[thread] = what each kind of shuffle gave, four a thread.
static __global__ void shuffles(int *out) {
    int lane = (int)threadIdx.x, *mine = out + 4 * threadIdx.x;
    mine[0] = __shfl_sync(0xffffffffu, lane, 3, 8);
    mine[1] = __shfl_xor_sync(0xffffffffu, lane, 5);
    mine[2] = __shfl_up_sync(0xffffffffu, lane, 1);
    mine[3] = __shfl_down_sync(0xffffffffu, lane, 4, 16);
}

static __global__ void uninitialised(int *out, bool write) {
    __shared__ int unwritten[4];
    if (write)
        unwritten[threadIdx.x] = 1;
    *out = unwritten[2];
}

static __global__ void some_leave(int *out) {
    if (threadIdx.x == 5)
        return;
    __syncthreads();
    out[threadIdx.x] = 1;
}

static __global__ void half_a_shuffle(int *out) {
    if (threadIdx.x % 2 == 0)
        out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 1);
}

static __global__ void past_the_end(int *values, int count) {
    if ((int)threadIdx.x <= count)
        values[threadIdx.x] = 1;
}

cudaError_t launch_add_one(cudaStream_t stream, int *values, int count) {
    return LS_LAUNCH(add_one, (count + 127) / 128, 128, stream, values, count);
}
cudaError_t launch_reverse(cudaStream_t stream, int *values, bool barrier) {
    return LS_LAUNCH(reverse, 1, 256, stream, values, barrier);
}
cudaError_t launch_block_sums(cudaStream_t stream, const int *values, int count, int *sums,
                              int *votes) {
    return LS_LAUNCH(block_sums, (count + 255) / 256, 256, stream, values, count, sums, votes);
}
cudaError_t launch_shuffles(cudaStream_t stream, int *out) {
    return LS_LAUNCH(shuffles, 1, 32, stream, out);
}
cudaError_t launch_uninitialised(cudaStream_t stream, int *out) {
    return LS_LAUNCH(uninitialised, 1, 1, stream, out, false);
}
cudaError_t launch_some_leave(cudaStream_t stream, int *out) {
    return LS_LAUNCH(some_leave, 1, 64, stream, out);
}
cudaError_t launch_half_a_shuffle(cudaStream_t stream, int *out) {
    return LS_LAUNCH(half_a_shuffle, 1, 32, stream, out);
}
cudaError_t launch_past_the_end(cudaStream_t stream, int *values, int count) {
    return LS_LAUNCH(past_the_end, 1, 1024, stream, values, count);
}
cudaError_t launch_too_large(cudaStream_t stream, int *values) {
    return LS_LAUNCH(add_one, 1, 2048, stream, values, 1);
}
