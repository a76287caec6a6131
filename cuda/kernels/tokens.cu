// What stands before and behind a vision transformer's blocks: the class token and the positions,
// and the pooling of tokens into a vector. A thread has N channels of a token.
#include "cuda/kernels/divisor.cuh"
#include "cuda/kernels/vector.cuh"

enum {
    THREADS = 256,
    ROWS = 8 // tokens that a thread reads before it adds them
};

// --- class token and positions; groups: vectors of a token

template <typename T, int N>
static __global__ void embed(uint32_t count, divisor sample_vectors, uint32_t groups, const T *x,
                             const float *token, const float *positions, T *y) {
    uint32_t index = blockIdx.x * THREADS + threadIdx.x, place;
    if (index >= count)
        return;
    uint32_t sample = divide(index, sample_vectors, &place);
    vec<float, N> position = load<N>(positions + (size_t)place * N), sum;
    if (place < groups) {
        sum = load<N>(token + (size_t)place * N);
    } else {
        vec<T, N> in = load<N>(x + (size_t)(index - (sample + 1) * groups) * N);
        for (int k = 0; k < N; k++)
            sum.at[k] = to_float(in.at[k]);
    }
    vec<T, N> out;
    for (int k = 0; k < N; k++)
        out.at[k] = from_float<T>(sum.at[k] + position.at[k]);
    store<N>(y + (size_t)index * N, out);
}

// `count` vectors of x, of which a sample has sample_vectors.
template <typename T, int N>
static __global__ void drop_first(uint32_t count, divisor sample_vectors, uint32_t groups,
                                  const T *dy, T *dx) {
    uint32_t index = blockIdx.x * THREADS + threadIdx.x, place;
    if (index >= count)
        return;
    uint32_t sample = divide(index, sample_vectors, &place);
    store<N>(dx + (size_t)index * N, load<N>(dy + (size_t)(index + (sample + 1) * groups) * N));
}

// --- pooling

template <typename T, int N>
static __global__ void pool_mean(uint32_t count, divisor groups, int tokens, const T *x, T *y) {
    uint32_t index = blockIdx.x * THREADS + threadIdx.x, group;
    if (index >= count)
        return;
    size_t down = (size_t)groups.value * N;
    const T *from = x + divide(index, groups, &group) * down * tokens + (size_t)group * N;
    float sum[N] = {};
    auto add = [&](const vec<T, N> &in) {
        for (int k = 0; k < N; k++)
            sum[k] += to_float(in.at[k]);
    };
    int token = 1;
    for (; token + ROWS <= tokens; token += ROWS) {
        vec<T, N> in[ROWS];
        for (int r = 0; r < ROWS; r++)
            in[r] = load<N>(from + (size_t)(token + r) * down);
        for (int r = 0; r < ROWS; r++)
            add(in[r]);
    }
    for (; token < tokens; token++)
        add(load<N>(from + (size_t)token * down));
    vec<T, N> out;
    for (int k = 0; k < N; k++)
        out.at[k] = from_float<T>(sum[k] / (float)(tokens - 1));
    store<N>(y + (size_t)index * N, out);
}

template <typename T, int N>
static __global__ void pool_first(uint32_t count, divisor groups, int tokens, const T *x, T *y) {
    uint32_t index = blockIdx.x * THREADS + threadIdx.x, group;
    if (index >= count)
        return;
    size_t sample = divide(index, groups, &group);
    store<N>(y + (size_t)index * N, load<N>(x + (sample * tokens * groups.value + group) * N));
}

template <typename T, int N>
static __global__ void unpool(uint32_t count, divisor groups, divisor tokens, bool mean,
                              const T *dy, T *dx) {
    uint32_t index = blockIdx.x * THREADS + threadIdx.x, group, token;
    if (index >= count)
        return;
    uint32_t sample = divide(divide(index, groups, &group), tokens, &token);
    vec<T, N> out = {};
    if (mean != (token == 0)) {
        out = load<N>(dy + ((size_t)sample * groups.value + group) * N);
        for (int k = 0; k < N && mean; k++)
            out.at[k] = from_float<T>(to_float(out.at[k]) / (float)(tokens.value - 1));
    }
    store<N>(dx + (size_t)index * N, out);
}

// --- launchers

static uint64_t elements(const token_arguments *a) {
    return (uint64_t)a->n * (uint64_t)a->tokens * (uint64_t)a->channels;
}

bool kernel_tokens_fit(const token_arguments *a) {
    return elements(a) <= INT32_MAX;
}

// Vectors of a token, and how many of them `tokens` have.
typedef struct token_vectors {
    uint32_t groups, count;
} token_vectors;

template <typename T, typename... Tensors>
static token_vectors vectors_of(const token_arguments *a, uint32_t tokens,
                                const Tensors *...tensors) {
    bool is_wide = a->channels % wide<T> == 0 && are_aligned(16, tensors...);
    uint32_t groups = (uint32_t)a->channels / (is_wide ? wide<T> : 1);
    return {groups, groups * (uint32_t)a->n * tokens};
}

template <typename T> static bool is_wide(const token_arguments *a, token_vectors v) {
    return v.groups != (uint32_t)a->channels;
}

cudaError_t kernel_embed(cudaStream_t stream, dtype type, const token_arguments *a, const void *x,
                         const float *token, const float *positions, void *y) {
    if (!elements(a))
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        token_vectors v = vectors_of<T>(a, (uint32_t)a->tokens, x, token, positions, y);
        auto kernel = is_wide<T>(a, v) ? embed<T, wide<T>> : embed<T, 1>;
        return LS_LAUNCH(kernel, blocks_for(v.count, THREADS), THREADS, stream, v.count,
                         divisor_of(v.groups * (uint32_t)a->tokens), v.groups, (const T *)x, token,
                         positions, (T *)y);
    });
}

cudaError_t kernel_embed_backward(cudaStream_t stream, dtype type, const token_arguments *a,
                                  const void *dy, void *dx) {
    uint32_t own = (uint32_t)a->tokens - 1;
    if (!elements(a) || !own)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        token_vectors v = vectors_of<T>(a, own, dy, dx);
        auto kernel = is_wide<T>(a, v) ? drop_first<T, wide<T>> : drop_first<T, 1>;
        return LS_LAUNCH(kernel, blocks_for(v.count, THREADS), THREADS, stream, v.count,
                         divisor_of(v.groups * own), v.groups, (const T *)dy, (T *)dx);
    });
}

cudaError_t kernel_token_pool(cudaStream_t stream, dtype type, const token_arguments *a, bool mean,
                              const void *x, void *y) {
    if (!elements(a))
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        token_vectors v = vectors_of<T>(a, 1, x, y);
        auto of_mean = is_wide<T>(a, v) ? pool_mean<T, wide<T>> : pool_mean<T, 1>;
        auto of_first = is_wide<T>(a, v) ? pool_first<T, wide<T>> : pool_first<T, 1>;
        auto kernel = mean ? of_mean : of_first;
        return LS_LAUNCH(kernel, blocks_for(v.count, THREADS), THREADS, stream, v.count,
                         divisor_of(v.groups), a->tokens, (const T *)x, (T *)y);
    });
}

cudaError_t kernel_token_pool_backward(cudaStream_t stream, dtype type, const token_arguments *a,
                                       bool mean, const void *dy, void *dx) {
    if (!elements(a))
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        token_vectors v = vectors_of<T>(a, (uint32_t)a->tokens, dy, dx);
        auto kernel = is_wide<T>(a, v) ? unpool<T, wide<T>> : unpool<T, 1>;
        return LS_LAUNCH(kernel, blocks_for(v.count, THREADS), THREADS, stream, v.count,
                         divisor_of(v.groups), divisor_of((uint32_t)a->tokens), mean, (const T *)dy,
                         (T *)dx);
    });
}
