// Sums over a block, and over the blocks of a grid, always in the same order.
#ifndef LOCKSTEP_CUDA_KERNELS_BLOCK_SUM_CUH
#define LOCKSTEP_CUDA_KERNELS_BLOCK_SUM_CUH

#include "cuda/kernels/kernels.h"
#include "cuda/kernels/launch.cuh"

// The sum of all threads' values, for thread 0; the others get an undefined one. The block is a
// whole number of warps, all of which call.
__device__ static inline double block_sum(double value) {
    __shared__ double of_warp[32];
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    if (threadIdx.x % 32 == 0)
        of_warp[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x == 0)
        for (unsigned warp = 1; warp < blockDim.x / 32; warp++)
            value += of_warp[warp];
    __syncthreads(); // of_warp may be used again
    return value;
}

// KERNEL_SCRATCH_BYTES hold this.
enum { SUMMED_BLOCKS = 2048 };
typedef struct block_sums {
    unsigned arrived; // blocks; 0 between kernels
    double of_block[3][SUMMED_BLOCKS];
} block_sums;
static_assert(sizeof(block_sums) <= KERNEL_TILES_AT, "the scratch memory is too small");

// Whether this is the last of `blocks` blocks to come here: it then sees what the thread 0 of every
// block wrote to global memory before. After the example for memory fence functions in the CUDA C++
// Programming Guide.
__device__ static inline bool is_last_of(unsigned *arrived, unsigned blocks) {
    __shared__ bool is_last;
    if (threadIdx.x == 0) {
        __threadfence();
        is_last = atomicAdd(arrived, 1u) == blocks - 1;
        if (is_last)
            *arrived = 0;
        __threadfence();
    }
    __syncthreads();
    return is_last;
}

__device__ static inline bool is_last_block(unsigned *arrived) {
    return is_last_of(arrived, gridDim.x);
}

// The sum of all blocks' sums number `which`, for thread 0 of the last block, whose threads all
// call; in the same order whichever block that is.
__device__ static inline double grid_sum(const block_sums *sums, int which) {
    const volatile double *of_block = sums->of_block[which];
    double sum = 0;
    for (unsigned block = threadIdx.x; block < gridDim.x; block += blockDim.x)
        sum += of_block[block];
    return block_sum(sum);
}

#endif
