// One element in, one out. A thread moves a few vectors, all read before the first is written; a
// block's lie next to each other.
#include "cuda/kernels/vector.cuh"

enum {
    THREADS = 256,
    VECTORS = 2,     // a thread's, of each array
    CAST_VECTORS = 4 // which may be of 8 bytes
};

// The first element of this thread's vector number v.
template <int N> __device__ static inline size_t place(int v, int vectors) {
    return (((size_t)blockIdx.x * vectors + (size_t)v) * THREADS + threadIdx.x) * N;
}

static unsigned blocks_of(size_t count, int n, int vectors) {
    return blocks_for(count, (size_t)THREADS * (size_t)vectors * (size_t)n);
}

// to[i] = f(from[i], to[i]), a vector or what is left of the array at a time.
template <int N, typename From, typename To, typename F>
__device__ static inline void combine(size_t count, const From *from, To *to, F f) {
    vec<From, N> in[VECTORS];
    vec<To, N> out[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
        size_t at = place<N>(v, VECTORS);
        if (at + N <= count) {
            in[v] = load<N>(from + at);
            out[v] = load<N>(to + at);
        }
    }
#pragma unroll // f may be long: registers have no index
    for (int v = 0; v < VECTORS; v++) {
        size_t at = place<N>(v, VECTORS);
        if (at + N <= count) {
#pragma unroll
            for (int k = 0; k < N; k++)
                out[v].at[k] = f(in[v].at[k], out[v].at[k]);
            store<N>(to + at, out[v]);
        } else {
            for (; at < count; at++)
                to[at] = f(from[at], to[at]);
        }
    }
}

template <typename T, int N> static __global__ void relu_backward(size_t count, const T *y, T *dy) {
    combine<N>(count, y, dy,
               [](T out, T gradient) { return to_float(out) > 0 ? gradient : from_float<T>(0); });
}

template <typename T, int N> static __global__ void add(size_t count, const T *from, T *to) {
    combine<N>(count, from, to, [](T a, T b) { return from_float<T>(to_float(a) + to_float(b)); });
}

// y = a + b, rounded; then max(0, .) of that.
template <typename T, int N>
static __global__ void join(size_t count, bool relu, const T *a, const T *b, T *y) {
    auto of = [relu](T one, T other) {
        T sum = from_float<T>(to_float(one) + to_float(other));
        return relu && to_float(sum) < 0 ? from_float<T>(0) : sum;
    };
    vec<T, N> in[VECTORS], with[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
        size_t at = place<N>(v, VECTORS);
        if (at + N <= count) {
            in[v] = load<N>(a + at);
            with[v] = load<N>(b + at);
        }
    }
    for (int v = 0; v < VECTORS; v++) {
        size_t at = place<N>(v, VECTORS);
        if (at + N <= count) {
            for (int k = 0; k < N; k++)
                in[v].at[k] = of(in[v].at[k], with[v].at[k]);
            store<N>(y + at, in[v]);
        } else {
            for (; at < count; at++)
                y[at] = of(a[at], b[at]);
        }
    }
}

// The normal distribution up to z.
__device__ static inline float normal_up_to(float z) {
    return 0.5f * erfcf(-z * 0.70710678f);
}

// Its approximation by tanh, as the logistic function of twice the argument, and its slope.
struct tanh_form {
    float share, slope; // slope: of the share
};

__device__ static inline tanh_form tanh_form_of(float z) {
    const float root = 0.79788456f, cube = 0.044715f; // sqrt(2 / pi)
    float square = z * z, share = 1 / (1 + expf(-2 * root * z * fmaf(cube, square, 1.0f)));
    return {share, 2 * root * share * (1 - share) * fmaf(3 * cube, square, 1.0f)};
}

template <typename T, int N>
static __global__ void gelu(size_t count, bool by_tanh, const T *z, T *y) {
    auto of = [by_tanh](T value) {
        float at = to_float(value);
        return from_float<T>(at * (by_tanh ? tanh_form_of(at).share : normal_up_to(at)));
    };
    vec<T, N> in[VECTORS];
    for (int v = 0; v < VECTORS; v++)
        if (place<N>(v, VECTORS) + N <= count)
            in[v] = load<N>(z + place<N>(v, VECTORS));
#pragma unroll
    for (int v = 0; v < VECTORS; v++) {
        size_t at = place<N>(v, VECTORS);
        if (at + N <= count) {
#pragma unroll
            for (int k = 0; k < N; k++)
                in[v].at[k] = of(in[v].at[k]);
            store<N>(y + at, in[v]);
        } else {
            for (; at < count; at++)
                y[at] = of(z[at]);
        }
    }
}

template <typename T, int N>
static __global__ void gelu_backward(size_t count, bool by_tanh, const T *dy, T *z) {
    combine<N>(count, dy, z, [by_tanh](T gradient, T value) {
        float at = to_float(value);
        tanh_form of = {};
        if (by_tanh)
            of = tanh_form_of(at);
        else
            of = {normal_up_to(at), expf(-0.5f * at * at) * 0.39894228f};
        return from_float<T>(to_float(gradient) * (of.share + at * of.slope));
    });
}

template <typename From, typename To, int N>
static __global__ void cast(size_t count, const From *from, To *to) {
    vec<From, N> in[CAST_VECTORS];
    for (int v = 0; v < CAST_VECTORS; v++)
        if (place<N>(v, CAST_VECTORS) + N <= count)
            in[v] = load<N>(from + place<N>(v, CAST_VECTORS));
    for (int v = 0; v < CAST_VECTORS; v++) {
        size_t at = place<N>(v, CAST_VECTORS);
        if (at + N <= count) {
            vec<To, N> out;
            for (int k = 0; k < N; k++)
                out.at[k] = from_float<To>(to_float(in[v].at[k]));
            store<N>(to + at, out);
        } else {
            for (; at < count; at++)
                to[at] = from_float<To>(to_float(from[at]));
        }
    }
}

cudaError_t kernel_relu_backward(cudaStream_t stream, dtype type, size_t count, const void *y,
                                 void *dy) {
    if (!count)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool is_wide = are_aligned(16, y, dy);
        auto kernel = is_wide ? relu_backward<T, wide<T>> : relu_backward<T, 1>;
        unsigned blocks = blocks_of(count, is_wide ? wide<T> : 1, VECTORS);
        return LS_LAUNCH(kernel, blocks, THREADS, stream, count, (const T *)y, (T *)dy);
    });
}

cudaError_t kernel_add(cudaStream_t stream, dtype type, size_t count, const void *from, void *to) {
    if (!count)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool is_wide = are_aligned(16, from, to);
        auto kernel = is_wide ? add<T, wide<T>> : add<T, 1>;
        unsigned blocks = blocks_of(count, is_wide ? wide<T> : 1, VECTORS);
        return LS_LAUNCH(kernel, blocks, THREADS, stream, count, (const T *)from, (T *)to);
    });
}

cudaError_t kernel_join(cudaStream_t stream, dtype type, size_t count, bool relu, const void *a,
                        const void *b, void *y) {
    if (!count)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool is_wide = are_aligned(16, a, b, y);
        auto kernel = is_wide ? join<T, wide<T>> : join<T, 1>;
        unsigned blocks = blocks_of(count, is_wide ? wide<T> : 1, VECTORS);
        return LS_LAUNCH(kernel, blocks, THREADS, stream, count, relu, (const T *)a, (const T *)b,
                         (T *)y);
    });
}

cudaError_t kernel_gelu(cudaStream_t stream, dtype type, size_t count, bool by_tanh, const void *z,
                        void *y) {
    if (!count)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool is_wide = are_aligned(16, z, y);
        auto kernel = is_wide ? gelu<T, wide<T>> : gelu<T, 1>;
        unsigned blocks = blocks_of(count, is_wide ? wide<T> : 1, VECTORS);
        return LS_LAUNCH(kernel, blocks, THREADS, stream, count, by_tanh, (const T *)z, (T *)y);
    });
}

cudaError_t kernel_gelu_backward(cudaStream_t stream, dtype type, size_t count, bool by_tanh,
                                 const void *dy, void *z) {
    if (!count)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool is_wide = are_aligned(16, dy, z);
        auto kernel = is_wide ? gelu_backward<T, wide<T>> : gelu_backward<T, 1>;
        unsigned blocks = blocks_of(count, is_wide ? wide<T> : 1, VECTORS);
        return LS_LAUNCH(kernel, blocks, THREADS, stream, count, by_tanh, (const T *)dy, (T *)z);
    });
}

template <typename From, typename To>
static cudaError_t launch_cast(cudaStream_t stream, size_t count, const void *from, void *to) {
    // 16 bytes of the wider type: neighbours in a warp are then neighbours in both arrays.
    constexpr int n = wide<From> < wide<To> ? wide<From> : wide<To>;
    bool is_wide = are_aligned(n * sizeof(From), from) && are_aligned(n * sizeof(To), to);
    auto kernel = is_wide ? cast<From, To, n> : cast<From, To, 1>;
    unsigned blocks = blocks_of(count, is_wide ? n : 1, CAST_VECTORS);
    return LS_LAUNCH(kernel, blocks, THREADS, stream, count, (const From *)from, (To *)to);
}

cudaError_t kernel_cast(cudaStream_t stream, size_t count, dtype from_type, const void *from,
                        dtype to_type, void *to) {
    if (!count)
        return cudaSuccess;
    return for_type(from_type, [&](auto source) {
        return for_type(to_type, [&](auto target) {
            return launch_cast<decltype(source), decltype(target)>(stream, count, from, to);
        });
    });
}

// --- runs: a thread has an element

template <typename T>
static __global__ void into_runs(size_t count, int length, int stride, const float *from, T *to) {
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < count)
        to[i / length * stride + i % length] = from_float<T>(from[i]);
}

template <typename T>
static __global__ void out_of_runs(size_t count, int length, int stride, const T *from, float *to) {
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < count)
        to[i] = to_float(from[i / length * stride + i % length]);
}

cudaError_t kernel_into_runs(cudaStream_t stream, size_t count, int length, int stride,
                             const float *from, dtype type, void *to) {
    if (!count)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        return LS_LAUNCH(into_runs<T>, blocks_for(count, THREADS), THREADS, stream, count, length,
                         stride, from, (T *)to);
    });
}

cudaError_t kernel_out_of_runs(cudaStream_t stream, size_t count, int length, int stride,
                               dtype type, const void *from, float *to) {
    if (!count)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        return LS_LAUNCH(out_of_runs<T>, blocks_for(count, THREADS), THREADS, stream, count, length,
                         stride, (const T *)from, to);
    });
}
