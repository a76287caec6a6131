// Adam and SGD: one pass over parameters, gradients and moments of many ranges, in which the
// low-precision copies are refreshed. The ranges travel in the kernel's parameters; they are cut
// into chunks, and blocks take chunks in turn, so that the grid is sized by the GPU alone.
#include "cuda/kernels/advance.cuh"
#include "cuda/kernels/block_sum.cuh"
#include "cuda/kernels/vector.cuh"

#include <math.h>

enum {
    THREADS = 256,
    N = 4, // elements a thread has of a chunk
    CHUNK = THREADS * N,
    BLOCKS_A_PROCESSOR = 4 // all blocks of a launch run at once: none waits for a second turn
};

// What is the same for all elements of a launch.
typedef struct gradient_factors {
    float unscale; // 1 / loss scale, times what clipping by norm leaves
    float limit;   // infinite where there is none
} gradient_factors;

typedef struct adam_factors {
    gradient_factors gradient;
    float rate;
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

__device__ static inline size_t place_in(const update_runs &runs, size_t i) {
    return runs.length ? i / runs.length * runs.stride + i % runs.length : i;
}

template <typename T>
__device__ static inline void write_copy(const update_range &range, const chunk &part,
                                         const vec<float, N> &values, bool is_wide) {
    T *to = (T *)range.packed;
    if (!range.packed_runs.length) {
        write(to + part.at, values, part.count, is_wide);
        return;
    }
    for (int k = 0; k < N; k++)
        if (element(k, is_wide) < part.count)
            to[place_in(range.packed_runs, part.at + element(k, is_wide))] =
                from_float<T>(values.at[k]);
}

__device__ static inline void write_packed(const update_range &range, const chunk &part,
                                           const vec<float, N> &values, bool is_wide) {
    if (!range.packed)
        return;
    if (range.packed_type == DTYPE_BF16)
        write_copy<__nv_bfloat16>(range, part, values, is_wide);
    else
        write_copy<__half>(range, part, values, is_wide);
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

template <typename T>
__device__ static inline vec<float, N> read_left(const update_range &range, const share &s) {
    const T *from = (const T *)range.left;
    size_t first = range.left_first + s.part.at;
    vec<float, N> out = {};
    if (s.is_wide && !range.left_runs.length) {
        vec<T, N> in = load<N>(from + first + threadIdx.x * N);
        for (int k = 0; k < N; k++)
            out.at[k] = to_float(in.at[k]);
        return out;
    }
    for (int k = 0; k < N; k++)
        if (element(k, s.is_wide) < s.part.count)
            out.at[k] = to_float(from[place_in(range.left_runs, first + element(k, s.is_wide))]);
    return out;
}

__device__ static inline vec<float, N> read_gradient(const update_arguments &u,
                                                     const update_range &range, const share &s) {
    if (!range.left)
        return read(u.gradients + s.part.first, s.part.count, s.is_wide);
    return range.packed_type == DTYPE_BF16 ? read_left<__nv_bfloat16>(range, s)
                                           : read_left<__half>(range, s);
}

__device__ static inline void write_weights(const share &s, const update_range &range,
                                            float *parameters) {
    write(parameters + s.part.first, s.w, s.part.count, s.is_wide);
    write_packed(range, s.part, s.w, s.is_wide);
}

__device__ static inline gradient_factors gradient_factors_of(const update_arguments &u) {
    float unscale = 1.0f / u.state->loss_scale;
    return {u.clips ? unscale * u.state->clip : unscale,
            u.clip_value > 0 ? u.clip_value : INFINITY};
}

// NaN stays NaN.
__device__ static inline float gradient_of(float g, const gradient_factors &f) {
    float gradient = g * f.unscale;
    gradient = f.limit < gradient ? f.limit : gradient;
    return -f.limit > gradient ? -f.limit : gradient;
}

// Of this step, before a range's scale.
__device__ static inline float rate_of(const update_arguments &u) {
    int64_t step = u.state->step + u.state->skipped;
    return u.rates[step < u.rate_count ? step : u.rate_count - 1];
}

// The last block to come here, and all have read the state by then, moves it on.
__device__ static inline void finish(const update_arguments &u, unsigned *arrived) {
    if (!u.advanced)
        return;
    __syncthreads();
    if (!is_last_block(arrived) || threadIdx.x > 0)
        return;
    advance_state(u.advanced, u.images, true, u.scaling);
    if (u.shown)
        show_state(u.advanced, u.shown);
}

// For a watcher on the host: what this update waited for has ended.
__device__ static inline void begin(const update_arguments &u) {
    if (u.begins.at && blockIdx.x == 0 && threadIdx.x == 0)
        *(volatile uint32_t *)u.begins.at = u.begins.value;
}

// --- Adam

__device__ static inline share read_adam(const update_arguments &u, const update_ranges &ranges,
                                         uint32_t index, bool aligned) {
    share s = share_of(ranges, index, aligned);
    s.w = read(u.parameters + s.part.first, s.part.count, s.is_wide);
    s.g = read_gradient(u, ranges.of[s.range], s);
    s.first = read(u.moments[0] + s.part.first, s.part.count, s.is_wide);
    s.second = read(u.moments[1] + s.part.first, s.part.count, s.is_wide);
    return s;
}

__device__ static inline void update_adam(const adam_constants &c, const update_range &range,
                                          const adam_factors &f, share *s) {
    float rate = f.rate * range.rate_scale, step_size = rate * f.inverse_correction1;
    float decay = c.decoupled ? 0 : range.weight_decay;
    float keep = c.decoupled ? (float)(1.0 - (double)rate * (double)range.weight_decay) : 1.0f;
    for (int k = 0; k < N; k++) {
        float gradient = gradient_of(s->g.at[k], f.gradient) + decay * s->w.at[k];
        float first = c.beta1 * s->first.at[k] + (1.0f - c.beta1) * gradient;
        float second = c.beta2 * s->second.at[k] + (1.0f - c.beta2) * gradient * gradient;
        float change = step_size * first / (sqrtf(second) * f.inverse_root_correction2 + c.epsilon);
        s->w.at[k] = s->w.at[k] * keep - change;
        s->first.at[k] = first;
        s->second.at[k] = second;
    }
}

// In double: t = step + 1, and 1 - beta^t = -expm1(t log(beta)), which keeps its digits where
// beta^t is close to 1.
__device__ static inline adam_factors factors_of(const update_arguments &u, double log_beta1,
                                                 double log_beta2) {
    double t = (double)(u.state->step + 1);
    return {gradient_factors_of(u), rate_of(u), (float)(-1.0 / expm1(t * log_beta1)),
            (float)(1.0 / sqrt(-expm1(t * log_beta2)))};
}

// The first chunk is on its way while thread 0 computes the factors.
static __global__ void __launch_bounds__(THREADS, BLOCKS_A_PROCESSOR)
    adam(const adam_constants c, const update_arguments u, double log_beta1, double log_beta2,
         uint32_t chunks, bool aligned, unsigned *arrived, const update_ranges ranges) {
    __shared__ adam_factors factors;
    uint32_t index = blockIdx.x;
    begin(u);
    share s = read_adam(u, ranges, index, aligned);
    if (threadIdx.x == 0)
        factors = factors_of(u, log_beta1, log_beta2);
    __syncthreads();
    const adam_factors f = factors;
    bool more = !u.state->overflow;
    while (more) {
        const update_range &range = ranges.of[s.range];
        update_adam(c, range, f, &s);
        write(u.moments[0] + s.part.first, s.first, s.part.count, s.is_wide);
        write(u.moments[1] + s.part.first, s.second, s.part.count, s.is_wide);
        write_weights(s, range, u.parameters);
        index += gridDim.x;
        more = index < chunks;
        if (more)
            s = read_adam(u, ranges, index, aligned);
    }
    finish(u, arrived);
}

// --- SGD

__device__ static inline void update_sgd(const sgd_constants &c, const update_arguments &u,
                                         const gradient_factors &f, const update_ranges &ranges,
                                         uint32_t index, bool aligned) {
    float *velocity = u.moments[0];
    bool remembers = velocity && u.state->step > 0; // the first velocity is the gradient
    share s = share_of(ranges, index, aligned);
    const update_range &range = ranges.of[s.range];
    float rate = rate_of(u) * range.rate_scale;
    s.w = read(u.parameters + s.part.first, s.part.count, s.is_wide);
    s.g = read_gradient(u, range, s);
    s.first = vec<float, N>();
    if (remembers)
        s.first = read(velocity + s.part.first, s.part.count, s.is_wide);
    for (int k = 0; k < N; k++) {
        float gradient = gradient_of(s.g.at[k], f) + range.weight_decay * s.w.at[k];
        s.first.at[k] = c.momentum * s.first.at[k] + gradient;
        float change = c.nesterov ? gradient + c.momentum * s.first.at[k] : s.first.at[k];
        s.w.at[k] -= rate * change;
    }
    if (velocity)
        write(velocity + s.part.first, s.first, s.part.count, s.is_wide);
    write_weights(s, range, u.parameters);
}

static __global__ void __launch_bounds__(THREADS, BLOCKS_A_PROCESSOR)
    sgd(const sgd_constants c, const update_arguments u, uint32_t chunks, bool aligned,
        unsigned *arrived, const update_ranges ranges) {
    const gradient_factors f = gradient_factors_of(u);
    bool overflow = u.state->overflow;
    begin(u);
    for (uint32_t index = blockIdx.x; !overflow && index < chunks; index += gridDim.x)
        update_sgd(c, u, f, ranges, index, aligned);
    finish(u, arrived);
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

// A packed copy starts with its range, and a gradient that is left at an element of it; where one
// does not allow vectors, none are used.
static bool packed_aligned(const update_ranges *ranges) {
    bool all = true;
    for (int r = 0; r < ranges->count; r++)
        all = all && are_aligned(N * sizeof(__half), ranges->of[r].packed, ranges->of[r].left) &&
              ranges->of[r].left_first % N == 0;
    return all;
}

static unsigned grid_for(int processors, uint32_t chunks) {
    unsigned most = (unsigned)processors * BLOCKS_A_PROCESSOR;
    return chunks < most ? chunks : most;
}

cudaError_t kernel_adam(cudaStream_t stream, int processors, const adam_constants *c,
                        const update_arguments *u, const update_ranges *ranges, void *scratch) {
    update_ranges numbered = *ranges;
    uint32_t chunks = number_chunks(&numbered);
    if (!chunks)
        return cudaSuccess;
    bool aligned = packed_aligned(ranges) &&
                   are_aligned(16, u->parameters, u->gradients, u->moments[0], u->moments[1]);
    return LS_LAUNCH(adam, grid_for(processors, chunks), THREADS, stream, *c, *u,
                     log((double)c->beta1), log((double)c->beta2), chunks, aligned,
                     (unsigned *)scratch, numbered);
}

cudaError_t kernel_sgd(cudaStream_t stream, int processors, const sgd_constants *c,
                       const update_arguments *u, const update_ranges *ranges, void *scratch) {
    update_ranges numbered = *ranges;
    uint32_t chunks = number_chunks(&numbered);
    if (!chunks)
        return cudaSuccess;
    bool aligned =
        packed_aligned(ranges) && are_aligned(16, u->parameters, u->gradients, u->moments[0]);
    return LS_LAUNCH(sgd, grid_for(processors, chunks), THREADS, stream, *c, *u, chunks, aligned,
                     (unsigned *)scratch, numbered);
}
