// What a step writes about itself: overflow, its gradients' norm, its counters, and a word for the
// host.
#include "cuda/kernels/advance.cuh"
#include "cuda/kernels/block_sum.cuh"
#include "cuda/kernels/vector.cuh"

#include <float.h>
#include <math.h>

enum { THREADS = 256, VECTORS = 4 };

// Neither infinite nor NaN.
__device__ static inline bool is_finite(float value) {
    return fabsf(value) <= FLT_MAX;
}

template <int N>
static __global__ void check_finite(const float *values, size_t count, step_state *state) {
    size_t first = ((size_t)blockIdx.x * VECTORS * THREADS + threadIdx.x) * N;
    vec<float, N> in[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
        size_t at = first + (size_t)v * THREADS * N;
        if (at + N <= count)
            in[v] = load<N>(values + at);
        else
            for (int k = 0; k < N; k++)
                in[v].at[k] = at + k < count ? values[at + k] : 0;
    }
    bool finite = true;
    for (int v = 0; v < VECTORS; v++)
        for (int k = 0; k < N; k++)
            finite = finite && is_finite(in[v].at[k]);
    if (!finite)
        atomicOr(&state->overflow, 1);
}

cudaError_t kernel_check_finite(cudaStream_t stream, const float *values, size_t count,
                                step_state *state) {
    if (!count)
        return cudaSuccess;
    constexpr int n = wide<float>;
    bool is_wide = are_aligned(16, values);
    auto kernel = is_wide ? check_finite<n> : check_finite<1>;
    unsigned blocks = blocks_for(count, (size_t)THREADS * VECTORS * (is_wide ? n : 1));
    return LS_LAUNCH(kernel, blocks, THREADS, stream, values, count, state);
}

enum { CLIP_THREADS = 256 };

// One block.
static __global__ void clip_norm(const double *sums, size_t count, double most, step_state *state) {
    double sum = 0;
    for (size_t grain = threadIdx.x; grain < count; grain += CLIP_THREADS)
        sum += sums[grain];
    sum = block_sum(sum);
    if (threadIdx.x != 0)
        return;
    double norm = sqrt(sum) / (double)state->loss_scale;
    double clip = most / (norm + 1e-6);
    bool counts = !state->overflow;
    state->gradient_norm = norm;
    if (counts)
        state->gradient_norm_sum += norm;
    state->clip = counts && most > 0 && !(clip > 1) ? (float)clip : 1.0f;
}

cudaError_t kernel_clip_norm(cudaStream_t stream, const double *sums, size_t count, double most,
                             step_state *state) {
    return LS_LAUNCH(clip_norm, 1, CLIP_THREADS, stream, sums, count, most, state);
}

// One thread.
static __global__ void advance(step_state *state, int64_t images, bool updated, bool scaling) {
    advance_state(state, images, updated, scaling);
}

cudaError_t kernel_advance(cudaStream_t stream, step_state *state, int64_t images, bool updated,
                           bool scaling) {
    return LS_LAUNCH(advance, 1, 1, stream, state, images, updated, scaling);
}

// One thread.
static __global__ void write_word(volatile uint32_t *word, uint32_t value) {
    *word = value;
    __threadfence_system();
}

cudaError_t kernel_write_word(cudaStream_t stream, uint32_t *word, uint32_t value) {
    return LS_LAUNCH(write_word, 1, 1, stream, word, value);
}
