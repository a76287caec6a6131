// Adam and SGD: one pass over parameters, gradients and moments of many ranges, in which the
// low-precision copies are refreshed. The ranges travel in the kernel's parameters; they are cut
// into chunks, and blocks take chunks in turn, so that the grid is sized by the GPU alone.
#include "vector.cuh"

#include <math.h>

enum {
    THREADS = 256,
    N = 4, // elements a thread has of a chunk
    CHUNK = THREADS * N,
    BLOCKS_A_PROCESSOR = 4 // all blocks of a launch run at once: none waits for a second turn
};

// What is the same for all elements of a launch.
typedef struct adam_factors {
    float unscale;             // 1 / loss scale
    float inverse_correction1; // 1 / (1 - beta1^t)
    float inverse_root_correction2;
} adam_factors;

typedef struct chunk {
    size_t first; // element of the flat arrays
    size_t at;    // the same, counted from the range's first
    int count;    // elements: CHUNK, or what is left of the range
} chunk;

// The range that chunk number `index` of the launch lies in: the last that starts at or before it.
__device__ static inline int range_of(const update_ranges &ranges, uint32_t index) {
    int low = 0, high = ranges.count - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (ranges.of[middle].first_chunk <= index)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

__device__ static inline chunk chunk_of(const update_range &range, uint32_t index) {
    size_t at = (size_t)(index - range.first_chunk) * CHUNK;
    size_t left = range.count - at;
    return {range.first + at, at, left < CHUNK ? (int)left : CHUNK};
}

// Where the k-th of this thread's N elements of a chunk lies: next to each other where they are
// read as a vector, else a block's width apart, so that neighbours are read by neighbours.
__device__ static inline int element(int k, bool is_wide) {
    return is_wide ? (int)threadIdx.x * N + k : k * THREADS + (int)threadIdx.x;
}

__device__ static inline vec<float, N> read(const float *from, int count, bool is_wide) {
    if (is_wide)
        return load<N>(from + threadIdx.x * N);
    vec<float, N> out = {};
    for (int k = 0; k < N; k++)
        if (element(k, false) < count)
            out.at[k] = from[element(k, false)];
    return out;
}

template <typename T>
__device__ static inline void write(T *to, const vec<float, N> &values, int count, bool is_wide) {
    vec<T, N> out;
    for (int k = 0; k < N; k++)
        out.at[k] = from_float<T>(values.at[k]);
    if (is_wide) {
        store<N>(to + threadIdx.x * N, out);
        return;
    }
    for (int k = 0; k < N; k++)
        if (element(k, false) < count)
            to[element(k, false)] = out.at[k];
}

__device__ static inline void write_packed(const update_range &range, const chunk &part,
                                           const vec<float, N> &values, bool is_wide) {
    if (!range.packed)
        return;
    if (range.packed_type == DTYPE_BF16)
        write((__nv_bfloat16 *)range.packed + part.at, values, part.count, is_wide);
    else
        write((__half *)range.packed + part.at, values, part.count, is_wide);
}

// A chunk of a launch, and what its update reads and writes.
typedef struct share {
    int range;
    chunk part;
    bool is_wide;
    vec<float, N> w, g, first, second; // SGD's velocity is `first`
} share;

__device__ static inline share share_of(const update_ranges &ranges, uint32_t index, bool aligned) {
    share s;
    s.range = range_of(ranges, index);
    s.part = chunk_of(ranges.of[s.range], index);
    s.is_wide = aligned && s.part.first % N == 0 && s.part.count == CHUNK;
    return s;
}

__device__ static inline void write_weights(const share &s, const update_range &range,
                                            float *parameters) {
    write(parameters + s.part.first, s.w, s.part.count, s.is_wide);
    write_packed(range, s.part, s.w, s.is_wide);
}

// --- Adam

__device__ static inline share read_adam(const adam_update &u, const update_ranges &ranges,
                                         uint32_t index, bool aligned) {
    share s = share_of(ranges, index, aligned);
    s.w = read(u.parameters + s.part.first, s.part.count, s.is_wide);
    s.g = read(u.gradients + s.part.first, s.part.count, s.is_wide);
    s.first = read(u.first_moment + s.part.first, s.part.count, s.is_wide);
    s.second = read(u.second_moment + s.part.first, s.part.count, s.is_wide);
    return s;
}

__device__ static inline void update_adam(const adam_update &u, const update_range &range,
                                          const adam_factors &f, share *s) {
    float step_size = range.learning_rate * f.inverse_correction1;
    for (int k = 0; k < N; k++) {
        float gradient = s->g.at[k] * f.unscale + range.weight_decay * s->w.at[k];
        float first = u.beta1 * s->first.at[k] + (1.0f - u.beta1) * gradient;
        float second = u.beta2 * s->second.at[k] + (1.0f - u.beta2) * gradient * gradient;
        s->w.at[k] -= step_size * first / (sqrtf(second) * f.inverse_root_correction2 + u.epsilon);
        s->first.at[k] = first;
        s->second.at[k] = second;
    }
}

// In double: t = step + 1, and 1 - beta^t = -expm1(t log(beta)), which keeps its digits where
// beta^t is close to 1.
__device__ static inline adam_factors factors_of(const step_state *state, double log_beta1,
                                                 double log_beta2) {
    double t = (double)(state->step + 1);
    return {1.0f / state->loss_scale, (float)(-1.0 / expm1(t * log_beta1)),
            (float)(1.0 / sqrt(-expm1(t * log_beta2)))};
}

// The first chunk is on its way while thread 0 computes the factors.
static __global__ void __launch_bounds__(THREADS, BLOCKS_A_PROCESSOR)
    adam(const adam_update u, double log_beta1, double log_beta2, uint32_t chunks, bool aligned,
         const update_ranges ranges) {
    __shared__ adam_factors factors;
    uint32_t index = blockIdx.x;
    share s = read_adam(u, ranges, index, aligned);
    if (threadIdx.x == 0)
        factors = factors_of(u.state, log_beta1, log_beta2);
    __syncthreads();
    if (u.state->overflow)
        return;
    const adam_factors f = factors;
    for (;;) {
        const update_range &range = ranges.of[s.range];
        update_adam(u, range, f, &s);
        write(u.first_moment + s.part.first, s.first, s.part.count, s.is_wide);
        write(u.second_moment + s.part.first, s.second, s.part.count, s.is_wide);
        write_weights(s, range, u.parameters);
        index += gridDim.x;
        if (index >= chunks)
            return;
        s = read_adam(u, ranges, index, aligned);
    }
}

// --- SGD

static __global__ void __launch_bounds__(THREADS, BLOCKS_A_PROCESSOR)
    sgd(const sgd_update u, uint32_t chunks, bool aligned, const update_ranges ranges) {
    if (u.state->overflow)
        return;
    float unscale = 1.0f / u.state->loss_scale;
    bool remembers = u.velocity && u.state->step > 0; // the first velocity is the gradient
    for (uint32_t index = blockIdx.x; index < chunks; index += gridDim.x) {
        share s = share_of(ranges, index, aligned);
        const update_range &range = ranges.of[s.range];
        s.w = read(u.parameters + s.part.first, s.part.count, s.is_wide);
        s.g = read(u.gradients + s.part.first, s.part.count, s.is_wide);
        s.first = vec<float, N>();
        if (remembers)
            s.first = read(u.velocity + s.part.first, s.part.count, s.is_wide);
        for (int k = 0; k < N; k++) {
            float gradient = s.g.at[k] * unscale + range.weight_decay * s.w.at[k];
            s.first.at[k] = u.momentum * s.first.at[k] + gradient;
            s.w.at[k] -= range.learning_rate * s.first.at[k];
        }
        if (u.velocity)
            write(u.velocity + s.part.first, s.first, s.part.count, s.is_wide);
        write_weights(s, range, u.parameters);
    }
}

// --- launchers

// Numbers the chunks of the ranges; returns how many there are.
static uint32_t number_chunks(update_ranges *ranges) {
    uint32_t chunks = 0;
    for (int r = 0; r < ranges->count; r++) {
        ranges->of[r].first_chunk = chunks;
        chunks += blocks_for(ranges->of[r].count, CHUNK);
    }
    return chunks;
}

// A packed copy starts with its range; where it does not allow vectors, none are used.
static bool packed_aligned(const update_ranges *ranges) {
    bool all = true;
    for (int r = 0; r < ranges->count; r++)
        all = all && are_aligned(N * sizeof(__half), ranges->of[r].packed);
    return all;
}

static unsigned grid_for(int processors, uint32_t chunks) {
    unsigned most = (unsigned)processors * BLOCKS_A_PROCESSOR;
    return chunks < most ? chunks : most;
}

cudaError_t kernel_adam(cudaStream_t stream, int processors, const adam_update *u,
                        const update_ranges *ranges) {
    update_ranges numbered = *ranges;
    uint32_t chunks = number_chunks(&numbered);
    if (!chunks)
        return cudaSuccess;
    bool aligned = packed_aligned(ranges) &&
                   are_aligned(16, u->parameters, u->gradients, u->first_moment, u->second_moment);
    return LS_LAUNCH(adam, grid_for(processors, chunks), THREADS, stream, *u, log((double)u->beta1),
                     log((double)u->beta2), chunks, aligned, numbered);
}

cudaError_t kernel_sgd(cudaStream_t stream, int processors, const sgd_update *u,
                       const update_ranges *ranges) {
    update_ranges numbered = *ranges;
    uint32_t chunks = number_chunks(&numbered);
    if (!chunks)
        return cudaSuccess;
    bool aligned =
        packed_aligned(ranges) && are_aligned(16, u->parameters, u->gradients, u->velocity);
    return LS_LAUNCH(sgd, grid_for(processors, chunks), THREADS, stream, *u, chunks, aligned,
                     numbered);
}
