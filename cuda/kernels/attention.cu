// Attention by blocks (Dao et al., "FlashAttention", 2022), in fp32 on the multiprocessors' own
// units: what computes where cuDNN has no engine. A block has a tile of a head's queries (of its
// keys, for their gradients) and passes over tiles of the others, which lie in shared memory;
// scores and weights never leave it. Forward keeps a running maximum and sum for each query;
// backward makes the weights again from the logarithms of the sums, once for the queries' gradient
// and once for the keys' and values', so that each is added up by one thread in one order.
//
// Threads are 16 x 16: thread (down, across) has the rows down, down + 16, ... of a tile and of
// them the columns across, across + 16, ... A row's 16 threads are half a warp.
#include "cuda/kernels/vector.cuh"

enum {
    SIDE = 16,
    THREADS = SIDE * SIDE,
    BLOCKS = 2 // of a multiprocessor, at least: so that none spills to make room for more
};

// For heads of up to D: rows of tiles, so that shared memory has room for them.
template <int D> constexpr int query_rows = D <= 64 ? 64 : 32; // forward's
template <int D> constexpr int tile_rows = D <= 64 ? 32 : 16;  // all others

// Where a head's values lie: row `token` of queries at query + token * in_row.
template <typename T> struct head_at {
    const T *query, *key, *value; // of x
    size_t in_row, out_row;       // elements between tokens, of x and of y
    size_t in, out;               // of the first token, in x and in y
    int tokens, width, tile;
    size_t statistics; // of the first token, in those
};

template <typename T>
__device__ static inline head_at<T> head_of(const attention_arguments &a, const T *x,
                                            unsigned tiles) {
    unsigned number = blockIdx.x / tiles, head = number % (unsigned)a.heads;
    size_t first = (size_t)(number / (unsigned)a.heads) * (size_t)a.tokens;
    head_at<T> h;
    h.out_row = (size_t)a.heads * (size_t)a.head_dim;
    h.in_row = 3 * h.out_row;
    h.in = first * h.in_row + (size_t)head * (size_t)a.head_dim;
    h.out = first * h.out_row + (size_t)head * (size_t)a.head_dim;
    h.query = x + h.in;
    h.key = h.query + h.out_row;
    h.value = h.key + h.out_row;
    h.tokens = a.tokens;
    h.width = a.head_dim;
    h.tile = (int)(blockIdx.x % tiles);
    h.statistics = (size_t)number * (size_t)a.tokens;
    return h;
}

// A tile's rows, with zeros where there are no tokens and no columns.
template <int ROWS, int D, typename T>
__device__ static inline void load_rows(float (*to)[D + 1], const T *from, size_t stride, int first,
                                        int tokens, int width) {
    for (int i = (int)threadIdx.x; i < ROWS * D; i += THREADS) {
        int row = i / D, column = i % D;
        bool is_there = first + row < tokens && column < width;
        to[row][column] = is_there ? to_float(from[(size_t)(first + row) * stride + column]) : 0;
    }
}

// result[i][j] = the product of row `down` + 16 i of left and row `across` + 16 j of right.
template <int I, int J, int D>
__device__ static inline void multiply(float (&result)[I][J], const float (*left)[D + 1],
                                       const float (*right)[D + 1], int down, int across) {
    for (int i = 0; i < I; i++)
        for (int j = 0; j < J; j++)
            result[i][j] = 0;
#pragma unroll 8
    for (int d = 0; d < D; d++) {
        float of_left[I], of_right[J];
        for (int i = 0; i < I; i++)
            of_left[i] = left[down + SIDE * i][d];
        for (int j = 0; j < J; j++)
            of_right[j] = right[across + SIDE * j][d];
        for (int i = 0; i < I; i++)
            for (int j = 0; j < J; j++)
                result[i][j] = fmaf(of_left[i], of_right[j], result[i][j]);
    }
}

// sums[i][j] += over k of weight(i, k) * rows[k][across + 16 j].
template <int K, int I, int J, int D, typename Weight>
__device__ static inline void add_weighted(float (&sums)[I][J], const float (*rows)[D + 1],
                                           int across, Weight weight) {
#pragma unroll 4
    for (int k = 0; k < K; k++) {
        float value[J];
        for (int j = 0; j < J; j++)
            value[j] = rows[k][across + SIDE * j];
        for (int i = 0; i < I; i++) {
            float by = weight(i, k);
            for (int j = 0; j < J; j++)
                sums[i][j] = fmaf(by, value[j], sums[i][j]);
        }
    }
}

__device__ static inline float row_sum(float value) {
    for (int offset = SIDE / 2; offset > 0; offset /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    return value;
}

__device__ static inline float row_most(float value) {
    for (int offset = SIDE / 2; offset > 0; offset /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, offset));
    return value;
}

// The rows of a tile that a thread has, to global memory.
template <int I, int J, typename T>
__device__ static inline void store_rows(T *to, size_t stride, int first, int tokens, int width,
                                         const float (&rows)[I][J], int down, int across) {
    for (int i = 0; i < I; i++)
        for (int j = 0; j < J; j++) {
            int token = first + down + SIDE * i, column = across + SIDE * j;
            if (token < tokens && column < width)
                to[(size_t)token * stride + column] = from_float<T>(rows[i][j]);
        }
}

// statistics NULL: not wanted.
template <typename T, int D>
static __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention_forward(attention_arguments a, unsigned tiles, float scale, const T *x, T *y,
                      float *statistics) {
    constexpr int ROWS = query_rows<D>, KEYS = tile_rows<D>;
    constexpr int I = ROWS / SIDE, J = KEYS / SIDE, C = D / SIDE;
    __shared__ float query[ROWS][D + 1], key[KEYS][D + 1], value[KEYS][D + 1];
    __shared__ float weights[ROWS][KEYS + 1];
    head_at<T> h = head_of(a, x, tiles);
    int down = (int)threadIdx.x / SIDE, across = (int)threadIdx.x % SIDE;
    float sums[I][C] = {}, most[I], total[I] = {}, score[I][J];
    for (int i = 0; i < I; i++)
        most[i] = -INFINITY;
    load_rows<ROWS, D>(query, h.query, h.in_row, h.tile * ROWS, h.tokens, h.width);
    for (int first = 0; first < h.tokens; first += KEYS) {
        __syncthreads(); // the tile before has been read
        load_rows<KEYS, D>(key, h.key, h.in_row, first, h.tokens, h.width);
        load_rows<KEYS, D>(value, h.value, h.in_row, first, h.tokens, h.width);
        __syncthreads();
        multiply<I, J, D>(score, query, key, down, across);
        for (int i = 0; i < I; i++) {
            float highest = most[i], row = 0;
            for (int j = 0; j < J; j++) {
                bool is_there = first + across + SIDE * j < h.tokens;
                score[i][j] = is_there ? score[i][j] * scale : -INFINITY;
                highest = fmaxf(highest, score[i][j]);
            }
            highest = row_most(highest);
            for (int j = 0; j < J; j++) {
                float weight = expf(score[i][j] - highest);
                weights[down + SIDE * i][across + SIDE * j] = weight;
                row += weight;
            }
            float shrink = expf(most[i] - highest);
            total[i] = fmaf(total[i], shrink, row_sum(row));
            most[i] = highest;
            for (int c = 0; c < C; c++)
                sums[i][c] *= shrink;
        }
        __syncwarp(); // a row of weights is half a warp's
        add_weighted<KEYS, I, C, D>(sums, value, across,
                                    [&](int i, int k) { return weights[down + SIDE * i][k]; });
    }
    for (int i = 0; i < I; i++) {
        int token = h.tile * ROWS + down + SIDE * i;
        for (int c = 0; c < C; c++)
            sums[i][c] /= total[i];
        if (statistics && across == 0 && token < h.tokens)
            statistics[h.statistics + token] = most[i] + logf(total[i]);
    }
    store_rows(y + h.out, h.out_row, h.tile * ROWS, h.tokens, h.width, sums, down, across);
}

// What backward reads beside x: of y's layout, and the logarithms of the sums.
template <typename T> struct backward_inputs {
    const T *y, *dy;
    const float *statistics;
};

// A row's logarithm, and the sum of dy * y: the mean of the weights' gradients.
template <int I, typename T>
__device__ static inline void load_row_values(const backward_inputs<T> &in, const head_at<T> &h,
                                              int first, int down, int across,
                                              float (&logarithm)[I], float (&mean)[I]) {
    for (int i = 0; i < I; i++) {
        int token = first + down + SIDE * i;
        bool is_there = token < h.tokens;
        size_t at = h.out + (size_t)token * h.out_row;
        float sum = 0;
        for (int column = across; is_there && column < h.width; column += SIDE)
            sum = fmaf(to_float(in.dy[at + column]), to_float(in.y[at + column]), sum);
        mean[i] = row_sum(sum);
        logarithm[i] = is_there ? in.statistics[h.statistics + token] : 0;
    }
}

// Of the scores of query rows and key columns: their weights, and the scores' gradients from the
// weights'. 0 where there is no such query or key.
template <int I, int J>
__device__ static inline void make_weights(float (&score)[I][J], float (&gradient)[I][J],
                                           const float (&logarithm)[I], const float (&mean)[I],
                                           float scale, int queries_left, int keys_left) {
    for (int i = 0; i < I; i++)
        for (int j = 0; j < J; j++) {
            bool is_there = SIDE * i < queries_left && SIDE * j < keys_left;
            float weight = is_there ? expf(fmaf(score[i][j], scale, -logarithm[i])) : 0;
            score[i][j] = weight;
            gradient[i][j] = weight * (gradient[i][j] - mean[i]) * scale;
        }
}

template <typename T, int D>
static __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention_dquery(attention_arguments a, unsigned tiles, float scale, const T *x,
                     backward_inputs<T> in, T *dx) {
    constexpr int ROWS = tile_rows<D>, I = ROWS / SIDE, C = D / SIDE;
    __shared__ float query[ROWS][D + 1], dy[ROWS][D + 1], key[ROWS][D + 1], value[ROWS][D + 1];
    __shared__ float gradients[ROWS][ROWS + 1];
    head_at<T> h = head_of(a, x, tiles);
    int down = (int)threadIdx.x / SIDE, across = (int)threadIdx.x % SIDE, own = h.tile * ROWS;
    float sums[I][C] = {}, score[I][I], gradient[I][I], logarithm[I], mean[I];
    load_rows<ROWS, D>(query, h.query, h.in_row, own, h.tokens, h.width);
    load_rows<ROWS, D>(dy, in.dy + h.out, h.out_row, own, h.tokens, h.width);
    load_row_values(in, h, own, down, across, logarithm, mean);
    for (int first = 0; first < h.tokens; first += ROWS) {
        __syncthreads();
        load_rows<ROWS, D>(key, h.key, h.in_row, first, h.tokens, h.width);
        load_rows<ROWS, D>(value, h.value, h.in_row, first, h.tokens, h.width);
        __syncthreads();
        multiply<I, I, D>(score, query, key, down, across);
        multiply<I, I, D>(gradient, dy, value, down, across);
        make_weights(score, gradient, logarithm, mean, scale, h.tokens - own - down,
                     h.tokens - first - across);
        for (int i = 0; i < I; i++)
            for (int j = 0; j < I; j++)
                gradients[down + SIDE * i][across + SIDE * j] = gradient[i][j];
        __syncwarp();
        add_weighted<ROWS, I, C, D>(sums, key, across,
                                    [&](int i, int k) { return gradients[down + SIDE * i][k]; });
    }
    store_rows(dx + h.in, h.in_row, own, h.tokens, h.width, sums, down, across);
}

template <typename T, int D>
static __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention_dkeys(attention_arguments a, unsigned tiles, float scale, const T *x,
                    backward_inputs<T> in, T *dx) {
    constexpr int ROWS = tile_rows<D>, I = ROWS / SIDE, C = D / SIDE;
    __shared__ float query[ROWS][D + 1], dy[ROWS][D + 1], key[ROWS][D + 1], value[ROWS][D + 1];
    __shared__ float weights[ROWS][ROWS + 1], gradients[ROWS][ROWS + 1];
    head_at<T> h = head_of(a, x, tiles);
    int down = (int)threadIdx.x / SIDE, across = (int)threadIdx.x % SIDE, own = h.tile * ROWS;
    float dkey[I][C] = {}, dvalue[I][C] = {}, score[I][I], gradient[I][I], logarithm[I], mean[I];
    load_rows<ROWS, D>(key, h.key, h.in_row, own, h.tokens, h.width);
    load_rows<ROWS, D>(value, h.value, h.in_row, own, h.tokens, h.width);
    for (int first = 0; first < h.tokens; first += ROWS) {
        __syncthreads();
        load_rows<ROWS, D>(query, h.query, h.in_row, first, h.tokens, h.width);
        load_rows<ROWS, D>(dy, in.dy + h.out, h.out_row, first, h.tokens, h.width);
        load_row_values(in, h, first, down, across, logarithm, mean);
        __syncthreads();
        multiply<I, I, D>(score, query, key, down, across);
        multiply<I, I, D>(gradient, dy, value, down, across);
        make_weights(score, gradient, logarithm, mean, scale, h.tokens - first - down,
                     h.tokens - own - across);
        for (int i = 0; i < I; i++)
            for (int j = 0; j < I; j++) {
                weights[down + SIDE * i][across + SIDE * j] = score[i][j];
                gradients[down + SIDE * i][across + SIDE * j] = gradient[i][j];
            }
        __syncthreads(); // their columns are other warps'
        add_weighted<ROWS, I, C, D>(dvalue, dy, across,
                                    [&](int i, int k) { return weights[k][down + SIDE * i]; });
        add_weighted<ROWS, I, C, D>(dkey, query, across,
                                    [&](int i, int k) { return gradients[k][down + SIDE * i]; });
    }
    T *to = dx + h.in + h.out_row;
    store_rows(to, h.in_row, own, h.tokens, h.width, dkey, down, across);
    store_rows(to + h.out_row, h.in_row, own, h.tokens, h.width, dvalue, down, across);
}

// --- launchers

enum { NARROW = 64, WIDE = 128 }; // heads

// Calls launch(a constant: the width of head that kernels are made for).
template <typename Launch> static cudaError_t for_width(int head_dim, Launch launch) {
    if (head_dim <= NARROW)
        return launch(std::integral_constant<int, NARROW>());
    return launch(std::integral_constant<int, WIDE>());
}

static size_t heads_of(const attention_arguments *a) {
    return (size_t)a->n * (size_t)a->heads;
}

static float scale_of(const attention_arguments *a) {
    return (float)(1 / sqrt((double)a->head_dim));
}

bool kernel_attention_fits(const attention_arguments *a) {
    unsigned tiles = blocks_for((size_t)a->tokens, tile_rows<WIDE>);
    return a->head_dim <= WIDE && heads_of(a) * tiles <= INT32_MAX;
}

cudaError_t kernel_attention_forward(cudaStream_t stream, dtype type, const attention_arguments *a,
                                     const void *x, void *y, float *statistics) {
    if (!heads_of(a))
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        return for_width(a->head_dim, [&](auto width) {
            unsigned tiles = blocks_for((size_t)a->tokens, query_rows<width.value>);
            auto kernel = attention_forward<T, width.value>;
            return LS_LAUNCH(kernel, (unsigned)heads_of(a) * tiles, THREADS, stream, *a, tiles,
                             scale_of(a), (const T *)x, (T *)y, statistics);
        });
    });
}

cudaError_t kernel_attention_backward(cudaStream_t stream, dtype type, const attention_arguments *a,
                                      const void *x, const void *y, const void *dy,
                                      const float *statistics, void *dx) {
    if (!heads_of(a))
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        backward_inputs<T> in = {(const T *)y, (const T *)dy, statistics};
        return for_width(a->head_dim, [&](auto width) {
            unsigned tiles = blocks_for((size_t)a->tokens, tile_rows<width.value>);
            unsigned blocks = (unsigned)heads_of(a) * tiles;
            auto of_queries = attention_dquery<T, width.value>;
            auto of_keys = attention_dkeys<T, width.value>;
            cudaError_t status = LS_LAUNCH(of_queries, blocks, THREADS, stream, *a, tiles,
                                           scale_of(a), (const T *)x, in, (T *)dx);
            if (status != cudaSuccess)
                return status;
            return LS_LAUNCH(of_keys, blocks, THREADS, stream, *a, tiles, scale_of(a), (const T *)x,
                             in, (T *)dx);
        });
    });
}
