// Layer normalisation of [rows, channels]. A warp has a row: up to 1024 channels in its registers,
// where vectors of them fit, else the row is read again from the caches for each of its passes.
// Statistics are fp32: the mean, then the variance around it.
//
// Backward of rows in registers is one pass over x and dy: each lane adds up its own columns of the
// parameters' gradients over the warp's rows, the block's warps are added up in shared memory, and
// the blocks by a last kernel. Else these gradients are a pass of their own, a column a thread.
// Which rows are added to which is a matter of sizes and `processors` alone.
#include "cuda/kernels/vector.cuh"

enum {
    THREADS = 256,
    WARPS = THREADS / 32,
    HELD = 256,      // channels that a lane's 8 make, once
    MOST_HELD = 4,   // times that
    SLAB_ROWS = 32,  // rows of a column that are one thread's, at least
    ACROSS = 32,     // columns of a block that adds up the blocks
    BLOCKS_EACH = 2, // for a processor
};

typedef struct row_state {
    float mean, inverse;
} row_state;

// A row of a lane: vector v is the columns from (v * 32 + lane) * N on. K 0: read when asked for.
template <typename T, int N, int K> struct lane_row {
    vec<T, N> in[K];
    int channels, lane;

    __device__ lane_row(const T *from, int channels, int lane) : channels(channels), lane(lane) {
#pragma unroll
        for (int v = 0; v < K; v++) {
            int column = (v * 32 + lane) * N;
            in[v] = column < channels ? load<N>(from + column) : vec<T, N>{};
        }
    }

    // f(v, column, vector)
    template <typename F> __device__ void each(F f) const {
#pragma unroll
        for (int v = 0; v < K; v++)
            if ((v * 32 + lane) * N < channels)
                f(v, (v * 32 + lane) * N, in[v]);
    }
};

template <typename T, int N> struct lane_row<T, N, 0> {
    const T *from;
    int channels, lane;

    __device__ lane_row(const T *from, int channels, int lane)
        : from(from), channels(channels), lane(lane) {}

    template <typename F> __device__ void each(F f) const {
        for (int column = lane * N; column < channels; column += 32 * N)
            f(0, column, load<N>(from + column));
    }
};

// For all lanes.
__device__ static inline float warp_sum(float value) {
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

// state NULL: not wanted.
template <typename T, int N, int K>
static __global__ void __launch_bounds__(THREADS)
    layernorm_forward(size_t rows, int channels, float epsilon, const T *x, const float *gamma,
                      const float *beta, T *y, row_state *state) {
    size_t row = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    if (row >= rows)
        return;
    lane_row<T, N, K> in(x + row * channels, channels, (int)threadIdx.x % 32);
    float sum = 0, squares = 0;
    in.each([&](int, int, const vec<T, N> &values) {
        for (int k = 0; k < N; k++)
            sum += to_float(values.at[k]);
    });
    float mean = warp_sum(sum) / (float)channels;
    in.each([&](int, int, const vec<T, N> &values) {
        for (int k = 0; k < N; k++) {
            float away = to_float(values.at[k]) - mean;
            squares = fmaf(away, away, squares);
        }
    });
    float inverse = 1 / sqrtf(warp_sum(squares) / (float)channels + epsilon);
    in.each([&](int, int column, const vec<T, N> &values) {
        vec<float, N> scale = load<N>(gamma + column), shift = load<N>(beta + column);
        vec<T, N> out;
        for (int k = 0; k < N; k++) {
            float normalised = (to_float(values.at[k]) - mean) * inverse;
            out.at[k] = from_float<T>(fmaf(normalised, scale.at[k], shift.at[k]));
        }
        store<N>(y + row * channels + column, out);
    });
    if (state && threadIdx.x % 32 == 0)
        state[row] = {mean, inverse};
}

// With g = dy * gamma: dx = (g - the mean of g - normalised x * the mean of g * normalised x) *
// inverse. add(v, k, dy, normalised x) is called for each value.
template <typename T, int N, int K, typename Add>
__device__ static inline void row_backward(int channels, row_state of, const lane_row<T, N, K> &in,
                                           const lane_row<T, N, K> &gradient, const T *dy,
                                           const float *gamma, T *dx, Add add) {
    float sum = 0, product = 0;
    auto both = [&](auto f) {
        in.each([&](int v, int column, const vec<T, N> &values) {
            vec<float, N> scale = load<N>(gamma + column);
            vec<T, N> delta;
            if constexpr (K > 0)
                delta = gradient.in[v];
            else
                delta = load<N>(dy + column);
            f(v, column, values, delta, scale);
        });
    };
    both([&](int v, int, const vec<T, N> &values, const vec<T, N> &delta,
             const vec<float, N> &scale) {
        for (int k = 0; k < N; k++) {
            float normalised = (to_float(values.at[k]) - of.mean) * of.inverse;
            float given = to_float(delta.at[k]), g = given * scale.at[k];
            sum += g;
            product = fmaf(g, normalised, product);
            add(v, k, given, normalised);
        }
    });
    if (!dx)
        return;
    sum = warp_sum(sum) / (float)channels;
    product = warp_sum(product) / (float)channels;
    both([&](int, int column, const vec<T, N> &values, const vec<T, N> &delta,
             const vec<float, N> &scale) {
        vec<T, N> out;
        for (int k = 0; k < N; k++) {
            float normalised = (to_float(values.at[k]) - of.mean) * of.inverse;
            float away = to_float(delta.at[k]) * scale.at[k] - sum - normalised * product;
            out.at[k] = from_float<T>(away * of.inverse);
        }
        store<N>(dx + column, out);
    });
}

// dx alone.
template <typename T>
static __global__ void __launch_bounds__(THREADS)
    layernorm_inputs(size_t rows, int channels, const T *x, const T *dy, const float *gamma,
                     const row_state *state, T *dx) {
    size_t row = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    if (row >= rows)
        return;
    size_t first = row * channels;
    int lane = (int)threadIdx.x % 32;
    lane_row<T, 1, 0> in(x + first, channels, lane), gradient(dy + first, channels, lane);
    row_backward(channels, state[row], in, gradient, dy + first, gamma, dx + first,
                 [](int, int, float, float) {});
}

// A block's sums: partial[block][2][channels], of gamma's gradient and of beta's. dx NULL: not
// wanted.
template <typename T, int N, int K>
static __global__ void __launch_bounds__(THREADS)
    layernorm_backward(size_t rows, int channels, const T *x, const T *dy, const float *gamma,
                       const row_state *state, T *dx, float *partial) {
    __shared__ float of_warp[2][WARPS][32 * N];
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    float product[K][N] = {}, sum[K][N] = {};
    for (size_t row = (size_t)blockIdx.x * WARPS + (size_t)warp; row < rows;
         row += (size_t)gridDim.x * WARPS) {
        size_t first = row * channels;
        lane_row<T, N, K> in(x + first, channels, lane), gradient(dy + first, channels, lane);
        row_backward(channels, state[row], in, gradient, dy + first, gamma,
                     dx ? dx + first : nullptr, [&](int v, int k, float given, float normalised) {
                         product[v][k] = fmaf(given, normalised, product[v][k]);
                         sum[v][k] += given;
                     });
    }
    float *to = partial + (size_t)blockIdx.x * 2 * channels;
#pragma unroll
    for (int v = 0; v < K; v++) {
        __syncthreads();
        for (int k = 0; k < N; k++) {
            of_warp[0][warp][lane * N + k] = product[v][k];
            of_warp[1][warp][lane * N + k] = sum[v][k];
        }
        __syncthreads();
        for (int i = (int)threadIdx.x; i < 2 * 32 * N; i += THREADS) {
            int which = i / (32 * N), within = i % (32 * N), column = v * 32 * N + within;
            float total = 0;
            for (int each = 0; each < WARPS; each++)
                total += of_warp[which][each][within];
            if (column < channels)
                to[which * channels + column] = total;
        }
    }
}

// A thread has a column of a slab of rows: partial[slab][2][channels].
template <typename T>
static __global__ void __launch_bounds__(THREADS)
    layernorm_sums(size_t rows, size_t rows_a_slab, int channels, unsigned tiles, const T *x,
                   const T *dy, const row_state *state, float *partial) {
    unsigned slab = blockIdx.x / tiles;
    int column = (int)(blockIdx.x % tiles) * THREADS + (int)threadIdx.x;
    if (column >= channels)
        return;
    size_t first = slab * rows_a_slab, end = first + rows_a_slab;
    float product = 0, sum = 0;
    for (size_t row = first; row < (end < rows ? end : rows); row++) {
        row_state of = state[row];
        float given = to_float(dy[row * channels + column]);
        float normalised = (to_float(x[row * channels + column]) - of.mean) * of.inverse;
        product = fmaf(given, normalised, product);
        sum += given;
    }
    partial[(size_t)slab * 2 * channels + column] = product;
    partial[(size_t)slab * 2 * channels + channels + column] = sum;
}

static __global__ void __launch_bounds__(THREADS)
    layernorm_finish(int parts, int channels, const float *partial, float *dgamma, float *dbeta) {
    __shared__ float of_slice[WARPS][ACROSS];
    int slice = (int)threadIdx.x / ACROSS, within = (int)threadIdx.x % ACROSS;
    int column = (int)blockIdx.x * ACROSS + within;
    float total = 0;
    if (column < 2 * channels)
        for (int part = slice; part < parts; part += WARPS)
            total += partial[(size_t)part * 2 * channels + column];
    of_slice[slice][within] = total;
    __syncthreads();
    if (slice > 0 || column >= 2 * channels)
        return;
    for (int other = 1; other < WARPS; other++)
        total += of_slice[other][within];
    *(column < channels ? dgamma + column : dbeta + (column - channels)) = total;
}

// --- launchers

// Blocks or slabs whose sums are added up last, at most.
static unsigned most_parts(int processors) {
    return (unsigned)processors * BLOCKS_EACH;
}

size_t kernel_layernorm_state_bytes(size_t rows) {
    return rows * sizeof(row_state);
}

size_t kernel_layernorm_workspace(int processors, int channels) {
    return (size_t)most_parts(processors) * 2 * (size_t)channels * sizeof(float);
}

// How often HELD channels cover a row that lies in registers; 0: it does not.
template <typename T, typename... Tensors>
static int times_held(int channels, const Tensors *...tensors) {
    bool fits = channels % wide<T> == 0 && channels <= HELD * MOST_HELD;
    return fits && are_aligned(16, tensors...) ? (channels + HELD - 1) / HELD : 0;
}

// Calls launch(a constant of 1 to MOST_HELD).
template <typename Launch> static cudaError_t for_held(int times, Launch launch) {
    switch (times) {
    case 1:
        return launch(std::integral_constant<int, 1>());
    case 2:
        return launch(std::integral_constant<int, 2>());
    case 3:
        return launch(std::integral_constant<int, 3>());
    default:
        return launch(std::integral_constant<int, MOST_HELD>());
    }
}

cudaError_t kernel_layernorm_forward(cudaStream_t stream, dtype type, const layernorm_arguments *a,
                                     const void *x, void *y, void *state) {
    if (!a->rows)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        int times = times_held<T>(a->channels, x, y, a->gamma, a->beta);
        auto launch = [&](auto kernel) {
            return LS_LAUNCH(kernel, blocks_for(a->rows, WARPS), THREADS, stream, a->rows,
                             a->channels, (float)a->epsilon, (const T *)x, a->gamma, a->beta,
                             (T *)y, (row_state *)state);
        };
        if (!times)
            return launch(layernorm_forward<T, 1, 0>);
        return for_held(times, [&](auto held) {
            return launch(layernorm_forward<T, wide<T>, held.value * HELD / 32 / wide<T>>);
        });
    });
}

template <typename T>
static cudaError_t backward_held(cudaStream_t stream, unsigned blocks, int times,
                                 const layernorm_arguments *a, const layernorm_gradients *g,
                                 const void *state, float *partial) {
    return for_held(times, [&](auto held) {
        auto kernel = layernorm_backward<T, wide<T>, held.value * HELD / 32 / wide<T>>;
        return LS_LAUNCH(kernel, blocks, THREADS, stream, a->rows, a->channels, (const T *)g->x,
                         (const T *)g->dy, a->gamma, (const row_state *)state, (T *)g->dx, partial);
    });
}

template <typename T>
static cudaError_t backward_long(cudaStream_t stream, size_t rows_a_slab, unsigned slabs,
                                 const layernorm_arguments *a, const layernorm_gradients *g,
                                 const void *state, float *partial) {
    unsigned tiles = blocks_for((size_t)a->channels, THREADS);
    cudaError_t status = LS_LAUNCH(layernorm_sums<T>, tiles * slabs, THREADS, stream, a->rows,
                                   rows_a_slab, a->channels, tiles, (const T *)g->x,
                                   (const T *)g->dy, (const row_state *)state, partial);
    if (status != cudaSuccess || !g->dx)
        return status;
    return LS_LAUNCH(layernorm_inputs<T>, blocks_for(a->rows, WARPS), THREADS, stream, a->rows,
                     a->channels, (const T *)g->x, (const T *)g->dy, a->gamma,
                     (const row_state *)state, (T *)g->dx);
}

cudaError_t kernel_layernorm_backward(cudaStream_t stream, int processors, dtype type,
                                      const layernorm_arguments *a, const layernorm_gradients *g,
                                      const void *state, void *workspace) {
    if (!a->rows)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        int times = times_held<T>(a->channels, g->x, g->dy, g->dx, a->gamma);
        unsigned most = most_parts(processors), parts = blocks_for(a->rows, WARPS);
        size_t slab = (a->rows + most - 1) / most;
        slab = slab > SLAB_ROWS ? slab : (size_t)SLAB_ROWS;
        parts = times ? (parts < most ? parts : most) : blocks_for(a->rows, slab);
        cudaError_t status =
            times ? backward_held<T>(stream, parts, times, a, g, state, (float *)workspace)
                  : backward_long<T>(stream, slab, parts, a, g, state, (float *)workspace);
        if (status != cudaSuccess)
            return status;
        return LS_LAUNCH(layernorm_finish, blocks_for(2 * (size_t)a->channels, ACROSS), THREADS,
                         stream, (int)parts, a->channels, (const float *)workspace, g->dgamma,
                         g->dbeta);
    });
}
