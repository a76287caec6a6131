// Batch normalisation of channels-last images, a matrix [rows, channels]. A block has a tile of
// columns, N a thread, and a slab of rows, one after the other down the threads. Forward passes
// over x twice (sums; y), backward over x and dy twice (sums; dx).
//
// Sums are fp32 in a slab, of x around the slab's first row, and in double from slab to slab, which
// the last block of a tile to finish adds up: no cancellation where a mean is far from zero, and an
// order that sizes and `processors` alone decide.
#include "cuda/kernels/block_sum.cuh"
#include "cuda/kernels/vector.cuh"

enum {
    SUM_THREADS = 512, // one block a processor: few slabs to add up, each with much in flight
    SUM_ROWS = 8,      // rows of x that a thread reads before it adds them
    PAIR_ROWS = 4,     // rows of x and dy
    THREADS = 256,
    ROWS = 4,      // rows that a thread reads before it writes them
    BACK_ROWS = 2, // rows of x and dy
    ACROSS = 32,   // threads over a tile's columns, at most
    TILES = (KERNEL_UPDATES_AT - KERNEL_TILES_AT) / (int)sizeof(unsigned)
};

typedef struct norm_grid {
    size_t rows, rows_a_slab;
    int channels, log2_across;
    unsigned tiles, slabs;
} norm_grid;

// state: [channels] each; forward makes the first four, backward's sums the others.
typedef struct norm_state {
    float *mean, *inverse, *scale, *beta; // scale: gamma * inverse
    float *slope, *base;                  // dx = scale * dy + slope * (x - mean) + base
} norm_state;

static norm_state state_of(float *state, int channels) {
    size_t c = (size_t)channels;
    return {state, state + c, state + 2 * c, state + 3 * c, state + 4 * c, state + 5 * c};
}

// What a thread has: rows from `row` to before `end`, each `down` behind the one before.
typedef struct norm_part {
    size_t first, row, end; // first: of the slab
    unsigned tile, slab;
    int column, down;
} norm_part;

template <int N> __device__ static inline norm_part part_of(const norm_grid &grid) {
    int across = 1 << grid.log2_across;
    norm_part p;
    p.slab = blockIdx.x / grid.tiles;
    p.tile = blockIdx.x % grid.tiles;
    p.column = ((int)p.tile * across + ((int)threadIdx.x & (across - 1))) * N;
    p.down = (int)blockDim.x >> grid.log2_across;
    p.first = p.slab * grid.rows_a_slab;
    p.row = p.first + (threadIdx.x >> grid.log2_across);
    p.end = p.first + grid.rows_a_slab < grid.rows ? p.first + grid.rows_a_slab : grid.rows;
    return p;
}

// --- sums

// Adds up what the block's threads have of a column: to partial[slab][3][channels].
template <int N>
__device__ static inline void store_slab(const norm_grid &grid, const norm_part &p,
                                         const float *around, const float *sum,
                                         const float *product, float *partial) {
    __shared__ float shared[2][N][SUM_THREADS];
    for (int k = 0; k < N; k++) {
        shared[0][k][threadIdx.x] = sum[k];
        shared[1][k][threadIdx.x] = product[k];
    }
    for (int half = p.down / 2; half > 0; half /= 2) {
        __syncthreads();
        unsigned other = threadIdx.x + (unsigned)(half << grid.log2_across);
        if (threadIdx.x < (unsigned)(half << grid.log2_across))
            for (int k = 0; k < N; k++) {
                shared[0][k][threadIdx.x] += shared[0][k][other];
                shared[1][k][threadIdx.x] += shared[1][k][other];
            }
    }
    if (threadIdx.x >> grid.log2_across > 0 || p.column >= grid.channels)
        return;
    float *to = partial + (size_t)p.slab * 3 * grid.channels + p.column;
    for (int k = 0; k < N; k++) {
        to[k] = around[k];
        to[grid.channels + k] = shared[0][k][threadIdx.x];
        to[2 * grid.channels + k] = shared[1][k][threadIdx.x];
    }
}

// Of a channel, around a value of its own.
typedef struct norm_totals {
    double around, sum, product;
    int channel; // -1: this thread has none
} norm_totals;

// All slabs' of a tile, by one block.
template <int N>
__device__ static inline norm_totals add_slabs(const norm_grid &grid, const norm_part &p,
                                               const float *partial) {
    __shared__ double of_slice[2][SUM_THREADS];
    int width = N << grid.log2_across, slices = SUM_THREADS / width;
    int slice = (int)threadIdx.x / width, channel = (int)p.tile * width + (int)threadIdx.x % width;
    norm_totals out = {0, 0, 0, -1};
    if (channel < grid.channels) {
        out.around = (double)__ldcg(partial + channel);
        for (unsigned slab = (unsigned)slice; slab < grid.slabs; slab += (unsigned)slices) {
            const float *of = partial + (size_t)slab * 3 * grid.channels + channel;
            size_t first = slab * grid.rows_a_slab;
            size_t rows =
                first + grid.rows_a_slab < grid.rows ? grid.rows_a_slab : grid.rows - first;
            double away = (double)__ldcg(of) - out.around;
            double sum = (double)__ldcg(of + grid.channels);
            double product = (double)__ldcg(of + 2 * grid.channels);
            out.sum += sum + (double)rows * away;
            out.product += product + away * (2 * sum + (double)rows * away);
        }
    }
    of_slice[0][threadIdx.x] = out.sum;
    of_slice[1][threadIdx.x] = out.product;
    __syncthreads();
    if (slice > 0 || channel >= grid.channels)
        return out;
    for (int other = 1; other < slices; other++) {
        out.sum += of_slice[0][other * width + (int)threadIdx.x];
        out.product += of_slice[1][other * width + (int)threadIdx.x];
    }
    out.channel = channel;
    return out;
}

// Stores a slab; whether this block is the tile's last, which then adds the slabs up.
template <int N>
__device__ static inline bool ends_tile(const norm_grid &grid, const norm_part &p,
                                        const float *around, const float *sum, const float *product,
                                        float *partial, unsigned *arrived) {
    store_slab<N>(grid, p, around, sum, product, partial);
    __threadfence(); // before this block counts as arrived
    __syncthreads();
    return is_last_of(arrived + p.tile, grid.slabs);
}

// What statistics are made of, and what they move.
typedef struct norm_statistics {
    const float *gamma, *beta;
    float *running_mean, *running_variance;
    double epsilon, momentum;
} norm_statistics;

__device__ static inline void move(float *running, double momentum, double to) {
    *running = (float)((1 - momentum) * (double)*running + momentum * to);
}

__device__ static inline void set_state(const norm_state &state, const norm_statistics &s,
                                        int channel, double mean, double variance) {
    float inverse = (float)(1 / sqrt(variance + s.epsilon));
    state.mean[channel] = (float)mean;
    state.inverse[channel] = inverse;
    state.scale[channel] = (float)((double)s.gamma[channel] * (double)inverse);
    state.beta[channel] = s.beta[channel];
}

// The running statistics and state, of `count` values: their mean and their squares around it.
__device__ static inline void set_statistics(const norm_state &state, const norm_statistics &s,
                                             int channel, double count, double mean,
                                             double squares) {
    squares = squares < 0 ? 0 : squares; // a NaN stays one
    move(&s.running_mean[channel], s.momentum, mean);
    move(&s.running_variance[channel], s.momentum, count > 1 ? squares / (count - 1) : 0);
    set_state(state, s, channel, mean, squares / count);
}

// What ranks add up: [0] the count, then of each channel two sums (batchnorm2d_sums).
__device__ static inline void put_totals(double *totals, int channel, double count, double first,
                                         double second) {
    if (channel == 0)
        totals[0] = count;
    totals[1 + 2 * channel] = first;
    totals[2 + 2 * channel] = second;
}

// totals NULL: of these rows alone.
template <typename T, int N>
static __global__ void __launch_bounds__(SUM_THREADS)
    norm_sums(norm_grid grid, const T *x, norm_statistics s, norm_state state, double *totals,
              float *partial, unsigned *arrived) {
    norm_part p = part_of<N>(grid);
    float around[N] = {}, sum[N] = {}, squares[N] = {};
    if (p.column < grid.channels) {
        const T *at = x + p.column;
        size_t row = p.row, down = (size_t)p.down;
        vec<T, N> first = load<N>(at + p.first * grid.channels);
        for (int k = 0; k < N; k++)
            around[k] = to_float(first.at[k]);
        auto add = [&](const vec<T, N> &in) {
            for (int k = 0; k < N; k++) {
                float away = to_float(in.at[k]) - around[k];
                sum[k] += away;
                squares[k] = fmaf(away, away, squares[k]);
            }
        };
        for (; row + (SUM_ROWS - 1) * down < p.end; row += SUM_ROWS * down) {
            vec<T, N> in[SUM_ROWS];
            for (int r = 0; r < SUM_ROWS; r++)
                in[r] = load<N>(at + (row + (size_t)r * down) * grid.channels);
            for (int r = 0; r < SUM_ROWS; r++)
                add(in[r]);
        }
        for (; row < p.end; row += down)
            add(load<N>(at + row * grid.channels));
    }
    if (!ends_tile<N>(grid, p, around, sum, squares, partial, arrived))
        return;
    norm_totals t = add_slabs<N>(grid, p, partial);
    if (t.channel < 0)
        return;
    double count = (double)grid.rows, mean = t.around + t.sum / count;
    double around_mean = t.product - t.sum / count * t.sum; // a sum of squares
    if (totals)
        put_totals(totals, t.channel, count, count * mean, around_mean + count * mean * mean);
    else
        set_statistics(state, s, t.channel, count, mean, around_mean);
}

static __global__ void norm_all_statistics(int channels, const double *totals, norm_statistics s,
                                           norm_state state) {
    int channel = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (channel >= channels)
        return;
    double count = totals[0], mean = totals[1 + 2 * channel] / count;
    set_statistics(state, s, channel, count, mean, totals[2 + 2 * channel] - count * mean * mean);
}

static __global__ void norm_running(int channels, norm_statistics s, norm_state state) {
    int channel = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (channel < channels)
        set_state(state, s, channel, (double)s.running_mean[channel],
                  (double)s.running_variance[channel]);
}

// --- a thread's columns in registers

template <int N> struct norm_columns { vec<float, N> mean, scale, beta; };

template <int N>
__device__ static inline norm_columns<N> columns_of(const norm_state &state, int column) {
    return {load<N>(state.mean + column), load<N>(state.scale + column),
            load<N>(state.beta + column)};
}

// y before what is added and the ReLU; backward finds the same bits again.
template <int N>
__device__ static inline float normalised(const norm_columns<N> &c, int k, float away) {
    return fmaf(away, c.scale.at[k], c.beta.at[k]);
}

// --- y

template <typename T, int N, bool JOINS>
static __global__ void norm_forward(norm_grid grid, bool relu, norm_state state, const T *x,
                                    const T *other, T *y) {
    norm_part p = part_of<N>(grid);
    if (p.column >= grid.channels)
        return;
    norm_columns<N> c = columns_of<N>(state, p.column);
    vec<T, N> in[ROWS], added[ROWS];
    auto place = [&](int r) { return (p.row + (size_t)r * p.down) * grid.channels + p.column; };
    auto is_there = [&](int r) { return p.row + (size_t)r * p.down < p.end; };
    for (int r = 0; r < ROWS; r++)
        if (is_there(r)) {
            in[r] = load<N>(x + place(r));
            if (JOINS)
                added[r] = load<N>(other + place(r));
        }
    for (int r = 0; r < ROWS; r++)
        if (is_there(r)) {
            for (int k = 0; k < N; k++) {
                float out = normalised(c, k, to_float(in[r].at[k]) - c.mean.at[k]);
                if (JOINS)
                    out += to_float(added[r].at[k]);
                in[r].at[k] = from_float<T>(relu && out < 0 ? 0 : out);
            }
            store<N>(y + place(r), in[r]);
        }
}

// --- backward

// How backward knows where the ReLU let y through: BY_Y, by y > 0; else by y made again, if there
// is one.
template <int N, bool BY_Y, typename T>
__device__ static inline float masked(const norm_columns<N> &c, bool relu, int k, float away, T dy,
                                      const vec<T, N> &y) {
    bool passes = BY_Y ? to_float(y.at[k]) > 0 : !relu || normalised(c, k, away) > 0;
    return passes ? to_float(dy) : 0;
}

// What backward needs of the sums of dy and of dy times the normalised x, of `count` values.
__device__ static inline void set_slope(const norm_state &state, int channel, double count,
                                        double sum, double product) {
    double inverse = (double)state.inverse[channel], gain = (double)state.scale[channel];
    state.slope[channel] = (float)(-gain * inverse * product / count);
    state.base[channel] = (float)(-gain * sum / count);
}

// masked_dy NULL: not wanted. totals NULL: of these rows alone.
template <typename T, int N, bool BY_Y>
static __global__ void __launch_bounds__(SUM_THREADS)
    norm_backward_sums(norm_grid grid, bool relu, const T *x, const T *y, const T *dy,
                       norm_state state, T *masked_dy, float *dgamma, float *dbeta, double *totals,
                       float *partial, unsigned *arrived) {
    norm_part p = part_of<N>(grid);
    float nothing[N] = {}, sum[N] = {}, product[N] = {};
    if (p.column < grid.channels) {
        norm_columns<N> c = columns_of<N>(state, p.column);
        size_t row = p.row, down = (size_t)p.down;
        auto add = [&](const vec<T, N> &in, const vec<T, N> &out, vec<T, N> gradient, size_t at) {
            for (int k = 0; k < N; k++) {
                float away = to_float(in.at[k]) - c.mean.at[k];
                float share = masked<N, BY_Y>(c, relu, k, away, gradient.at[k], out);
                sum[k] += share;
                product[k] = fmaf(share, away, product[k]);
                gradient.at[k] = from_float<T>(share);
            }
            if (masked_dy)
                store<N>(masked_dy + at, gradient);
        };
        for (; row + (PAIR_ROWS - 1) * down < p.end; row += PAIR_ROWS * down) {
            vec<T, N> in[PAIR_ROWS], out[PAIR_ROWS], gradient[PAIR_ROWS];
            for (int r = 0; r < PAIR_ROWS; r++) {
                size_t at = (row + (size_t)r * down) * grid.channels + p.column;
                in[r] = load<N>(x + at);
                gradient[r] = load<N>(dy + at);
                out[r] = BY_Y ? load<N>(y + at) : in[r];
            }
            for (int r = 0; r < PAIR_ROWS; r++)
                add(in[r], out[r], gradient[r],
                    (row + (size_t)r * down) * grid.channels + p.column);
        }
        for (; row < p.end; row += down) {
            size_t at = row * grid.channels + p.column;
            vec<T, N> in = load<N>(x + at);
            add(in, BY_Y ? load<N>(y + at) : in, load<N>(dy + at), at);
        }
    }
    if (!ends_tile<N>(grid, p, nothing, sum, product, partial, arrived))
        return;
    norm_totals t = add_slabs<N>(grid, p, partial);
    if (t.channel < 0)
        return;
    double count = (double)grid.rows;
    t.product *= (double)state.inverse[t.channel];
    dgamma[t.channel] = (float)t.product;
    dbeta[t.channel] = (float)t.sum;
    if (totals)
        put_totals(totals, t.channel, count, t.sum, t.product);
    else
        set_slope(state, t.channel, count, t.sum, t.product);
}

static __global__ void norm_all_gradients(int channels, const double *totals, norm_state state) {
    int channel = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (channel < channels)
        set_slope(state, channel, totals[0], totals[1 + 2 * channel], totals[2 + 2 * channel]);
}

template <typename T, int N, bool BY_Y>
static __global__ void __launch_bounds__(THREADS, 2)
    norm_backward(norm_grid grid, bool relu, norm_state state, const T *x, const T *y, const T *dy,
                  T *dx) {
    norm_part p = part_of<N>(grid);
    if (p.column >= grid.channels)
        return;
    norm_columns<N> c = columns_of<N>(state, p.column);
    vec<float, N> slope = load<N>(state.slope + p.column), base = load<N>(state.base + p.column);
    vec<T, N> in[BACK_ROWS], out[BACK_ROWS], gradient[BACK_ROWS];
    auto place = [&](int r) { return (p.row + (size_t)r * p.down) * grid.channels + p.column; };
    auto is_there = [&](int r) { return p.row + (size_t)r * p.down < p.end; };
    for (int r = 0; r < BACK_ROWS; r++)
        if (is_there(r)) {
            in[r] = load<N>(x + place(r));
            gradient[r] = load<N>(dy + place(r));
            out[r] = BY_Y ? load<N>(y + place(r)) : in[r];
        }
    for (int r = 0; r < BACK_ROWS; r++)
        if (is_there(r)) {
            for (int k = 0; k < N; k++) {
                float away = to_float(in[r].at[k]) - c.mean.at[k];
                float share = masked<N, BY_Y>(c, relu, k, away, gradient[r].at[k], out[r]);
                float rest = fmaf(away, slope.at[k], base.at[k]);
                gradient[r].at[k] = from_float<T>(fmaf(share, c.scale.at[k], rest));
            }
            store<N>(dx + place(r), gradient[r]);
        }
}

// --- grids

static norm_grid tiles_for(const norm_arguments *a, int n) {
    int vectors = (a->channels + n - 1) / n;
    norm_grid grid = {};
    grid.rows = a->rows;
    grid.channels = a->channels;
    while ((1 << grid.log2_across) < vectors && (1 << grid.log2_across) < ACROSS)
        grid.log2_across++;
    grid.tiles = blocks_for((size_t)vectors, (size_t)1 << grid.log2_across);
    return grid;
}

static void cut(norm_grid *grid, size_t rows_a_slab) {
    grid->rows_a_slab = rows_a_slab;
    grid->slabs = blocks_for(grid->rows, rows_a_slab);
}

// A block a processor, each with at least the rows that its threads read at once.
static norm_grid sums_grid(int processors, const norm_arguments *a, int n) {
    norm_grid grid = tiles_for(a, n);
    size_t least = (size_t)(SUM_THREADS >> grid.log2_across) * PAIR_ROWS;
    size_t slabs = ((size_t)processors + grid.tiles - 1) / grid.tiles;
    size_t rows = (a->rows + slabs - 1) / slabs;
    cut(&grid, rows > least ? rows : least);
    return grid;
}

static norm_grid rows_grid(const norm_arguments *a, int n, int rows_a_thread) {
    norm_grid grid = tiles_for(a, n);
    cut(&grid, (size_t)(THREADS >> grid.log2_across) * (size_t)rows_a_thread);
    return grid;
}

static unsigned blocks_of(const norm_grid &grid) {
    return grid.slabs * grid.tiles;
}

bool kernel_norm_fits(const norm_arguments *a) {
    norm_grid grid = tiles_for(a, 1);
    size_t slab = (size_t)(THREADS >> grid.log2_across) * BACK_ROWS;
    return grid.tiles <= TILES && (a->rows + slab - 1) / slab <= INT32_MAX / grid.tiles;
}

size_t kernel_norm_state_bytes(int channels) {
    return 6 * (size_t)channels * sizeof(float);
}

// Enough whatever the alignment: the most slabs that either width makes.
size_t kernel_norm_workspace(int processors, dtype type, const norm_arguments *a) {
    unsigned one = sums_grid(processors, a, 1).slabs;
    unsigned many = sums_grid(processors, a, 16 / (int)dtype_bytes(type)).slabs;
    return (size_t)(one > many ? one : many) * 3 * (size_t)a->channels * sizeof(float);
}

static unsigned *arrivals(void *scratch) {
    return (unsigned *)((char *)scratch + KERNEL_TILES_AT);
}

template <typename T, typename... Tensors>
static bool is_wide(const norm_arguments *a, const Tensors *...tensors) {
    return a->channels % wide<T> == 0 && are_aligned(16, tensors...);
}

// --- launchers

static norm_statistics statistics_of(const norm_arguments *a, const norm_buffers *b) {
    return {b->gamma, b->beta, b->running_mean, b->running_variance, a->epsilon, a->momentum};
}

cudaError_t kernel_norm_statistics(cudaStream_t stream, int processors, dtype type,
                                   const norm_arguments *a, const norm_buffers *b, const void *x,
                                   float *state, void *workspace, void *scratch) {
    if (!a->rows)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool wides = is_wide<T>(a, x);
        norm_grid grid = sums_grid(processors, a, wides ? wide<T> : 1);
        auto kernel = wides ? norm_sums<T, wide<T>> : norm_sums<T, 1>;
        return LS_LAUNCH(kernel, blocks_of(grid), SUM_THREADS, stream, grid, (const T *)x,
                         statistics_of(a, b), state_of(state, a->channels), a->totals,
                         (float *)workspace, arrivals(scratch));
    });
}

cudaError_t kernel_norm_all_statistics(cudaStream_t stream, const norm_arguments *a,
                                       const norm_buffers *b, float *state) {
    return LS_LAUNCH(norm_all_statistics, blocks_for((size_t)a->channels, THREADS), THREADS, stream,
                     a->channels, (const double *)a->totals, statistics_of(a, b),
                     state_of(state, a->channels));
}

cudaError_t kernel_norm_all_gradients(cudaStream_t stream, const norm_arguments *a, float *state) {
    return LS_LAUNCH(norm_all_gradients, blocks_for((size_t)a->channels, THREADS), THREADS, stream,
                     a->channels, (const double *)a->totals, state_of(state, a->channels));
}

cudaError_t kernel_norm_running(cudaStream_t stream, const norm_arguments *a, const norm_buffers *b,
                                float *state) {
    return LS_LAUNCH(norm_running, blocks_for((size_t)a->channels, THREADS), THREADS, stream,
                     a->channels, statistics_of(a, b), state_of(state, a->channels));
}

cudaError_t kernel_norm_forward(cudaStream_t stream, dtype type, const norm_arguments *a,
                                const float *state, const void *x, const void *other, void *y) {
    if (!a->rows)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool wides = is_wide<T>(a, x, other, y, state);
        norm_grid grid = rows_grid(a, wides ? wide<T> : 1, ROWS);
        auto plain = wides ? norm_forward<T, wide<T>, false> : norm_forward<T, 1, false>;
        auto joining = wides ? norm_forward<T, wide<T>, true> : norm_forward<T, 1, true>;
        auto kernel = other ? joining : plain;
        return LS_LAUNCH(kernel, blocks_of(grid), THREADS, stream, grid, a->relu,
                         state_of((float *)state, a->channels), (const T *)x, (const T *)other,
                         (T *)y);
    });
}

cudaError_t kernel_norm_gradients(cudaStream_t stream, int processors, dtype type,
                                  const norm_arguments *a, const norm_tensors *t, float *state,
                                  void *masked_dy, float *dgamma, float *dbeta, void *workspace,
                                  void *scratch) {
    if (!a->rows)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool wides = is_wide<T>(a, t->x, t->y, t->dy, masked_dy, state);
        norm_grid grid = sums_grid(processors, a, wides ? wide<T> : 1);
        auto by_x = wides ? norm_backward_sums<T, wide<T>, false> : norm_backward_sums<T, 1, false>;
        auto by_y = wides ? norm_backward_sums<T, wide<T>, true> : norm_backward_sums<T, 1, true>;
        auto kernel = a->relu && t->y ? by_y : by_x;
        return LS_LAUNCH(kernel, blocks_of(grid), SUM_THREADS, stream, grid, a->relu,
                         (const T *)t->x, (const T *)t->y, (const T *)t->dy,
                         state_of(state, a->channels), (T *)masked_dy, dgamma, dbeta, a->totals,
                         (float *)workspace, arrivals(scratch));
    });
}

cudaError_t kernel_norm_backward(cudaStream_t stream, dtype type, const norm_arguments *a,
                                 const norm_tensors *t, const float *state, void *dx) {
    if (!a->rows)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool wides = is_wide<T>(a, t->x, t->y, t->dy, dx, state);
        norm_grid grid = rows_grid(a, wides ? wide<T> : 1, BACK_ROWS);
        auto by_x = wides ? norm_backward<T, wide<T>, false> : norm_backward<T, 1, false>;
        auto by_y = wides ? norm_backward<T, wide<T>, true> : norm_backward<T, 1, true>;
        auto kernel = a->relu && t->y ? by_y : by_x;
        return LS_LAUNCH(kernel, blocks_of(grid), THREADS, stream, grid, a->relu,
                         state_of((float *)state, a->channels), (const T *)t->x, (const T *)t->y,
                         (const T *)t->dy, (T *)dx);
    });
}
