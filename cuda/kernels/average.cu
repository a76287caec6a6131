// The moving average of an array.
#include "cuda/kernels/vector.cuh"

enum { THREADS = 256, VECTORS = 4 };

template <int N>
static __global__ void move_average(const float *values, float *average, size_t count, float share,
                                    const step_state *state) {
    if (state->overflow)
        return;
    bool is_first = state->step == 0;
    size_t first = ((size_t)blockIdx.x * VECTORS * THREADS + threadIdx.x) * N;
    for (int v = 0; v < VECTORS; v++) {
        size_t at = first + (size_t)v * THREADS * N;
        if (at + N <= count) {
            vec<float, N> now = load<N>(values + at), before = load<N>(average + at);
            for (int k = 0; k < N; k++)
                before.at[k] =
                    is_first ? now.at[k] : before.at[k] + share * (now.at[k] - before.at[k]);
            store<N>(average + at, before);
        } else {
            for (size_t k = at; k < count && k < at + N; k++)
                average[k] = is_first ? values[k] : average[k] + share * (values[k] - average[k]);
        }
    }
}

cudaError_t kernel_average(cudaStream_t stream, const float *values, float *average, size_t count,
                           double decay, const step_state *state) {
    if (!count)
        return cudaSuccess;
    constexpr int n = wide<float>;
    bool is_wide = are_aligned(16, values, average);
    auto kernel = is_wide ? move_average<n> : move_average<1>;
    unsigned blocks = blocks_for(count, (size_t)THREADS * VECTORS * (is_wide ? n : 1));
    return LS_LAUNCH(kernel, blocks, THREADS, stream, values, average, count, (float)(1.0 - decay),
                     state);
}
