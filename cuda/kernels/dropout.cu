// What training leaves out at random. A thread has the four elements of a sample that one block of
// random numbers is for.
#include "base/philox.h"
#include "cuda/kernels/divisor.cuh"
#include "cuda/kernels/vector.cuh"

enum { THREADS = 256, DRAWN = 4 };

template <typename T, int N>
static __global__ void leave_out(uint32_t count, divisor blocks, dropout_arguments a, const T *from,
                                 T *to) {
    uint32_t index = blockIdx.x * THREADS + threadIdx.x, block, drawn[DRAWN];
    if (index >= count)
        return;
    uint32_t sample = divide(index, blocks, &block);
    uint64_t step = (uint64_t)(a.state->step + a.state->skipped);
    uint64_t place = (uint64_t)a.first + sample;
    philox_block(a.seed, RANDOM_DROPOUT, (uint64_t)a.stream << 40 | step,
                 a.whole ? place : place * blocks.value + block, drawn);
    size_t first = (size_t)block * DRAWN, at = sample * a.each + first;
    auto of = [&](T value, int k) {
        bool kept = drawn[a.whole ? 0 : k] >= a.least;
        return from_float<T>(kept ? to_float(value) * a.scale : 0);
    };
    if (N == DRAWN) {
        vec<T, DRAWN> values = load<DRAWN>(from + at);
#pragma unroll
        for (int k = 0; k < DRAWN; k++)
            values.at[k] = of(values.at[k], k);
        store<DRAWN>(to + at, values);
    } else {
#pragma unroll
        for (int k = 0; k < DRAWN; k++)
            if (first + k < a.each)
                to[at + k] = of(from[at + k], k);
    }
}

static size_t blocks_of(const dropout_arguments *a) {
    return (a->each + DRAWN - 1) / DRAWN;
}

bool kernel_dropout_fits(const dropout_arguments *a) {
    return blocks_of(a) * (size_t)a->n <= INT32_MAX;
}

cudaError_t kernel_dropout(cudaStream_t stream, dtype type, const dropout_arguments *a,
                           const void *from, void *to) {
    uint32_t count = (uint32_t)blocks_of(a) * (uint32_t)a->n;
    if (!count)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool is_wide = a->each % DRAWN == 0 && are_aligned(DRAWN * sizeof(T), from, to);
        auto kernel = is_wide ? leave_out<T, DRAWN> : leave_out<T, 1>;
        return LS_LAUNCH(kernel, blocks_for(count, THREADS), THREADS, stream, count,
                         divisor_of((uint32_t)blocks_of(a)), *a, (const T *)from, (T *)to);
    });
}
