// Max pooling of channels-last images: a thread has N channels of one window, or of one after the
// other.
#include "cuda/kernels/block_sum.cuh"
#include "cuda/kernels/places.cuh"
#include "cuda/kernels/vector.cuh"

enum {
    THREADS = 256,
    SUMS_BLOCKS = 2 // a processor, where sums are made too: few, so that they are soon added up
};

typedef struct pool_grid {
    place_grid places; // windows, in backward with the cut ones on the right and lower edge
    int height, width, channels, window; // of the input
} pool_grid;

// The first input element of a window.
__device__ static inline size_t corner(const place &p, const pool_grid &grid, int n) {
    size_t line = (size_t)p.image * grid.height + (size_t)p.row * grid.window;
    return (line * grid.width + (size_t)p.column * grid.window) * grid.channels +
           (size_t)p.group * n;
}

// WINDOW 0: grid.window, known only here.
template <typename T, int N, int WINDOW>
static __global__ void maxpool2d_forward(pool_grid grid, const T *x, T *y, uint8_t *saved) {
    uint32_t index = blockIdx.x * THREADS + threadIdx.x;
    if (index >= grid.places.count)
        return;
    const int window = WINDOW ? WINDOW : grid.window;
    const T *from = x + corner(place_of(index, grid.places), grid, N);
    vec<T, N> best = load<N>(from);
    vec<uint8_t, N> winner = {};
    for (int position = 1; position < window * window; position++) {
        size_t pixel = (size_t)(position / window) * grid.width + position % window;
        vec<T, N> in = load<N>(from + pixel * grid.channels);
        for (int k = 0; k < N; k++)
            if (to_float(in.at[k]) > to_float(best.at[k])) {
                best.at[k] = in.at[k];
                winner.at[k] = (uint8_t)position;
            }
    }
    store<N>(y + (size_t)index * N, best);
    store<N>(saved + (size_t)index * N, winner);
}

// How backward reads and writes, beside the grid.
template <typename T> struct backward_tensors {
    int out_height, out_width;
    bool relu_input;
    const T *dy, *y;
    const uint8_t *saved;
    T *dx;
};

// dx of one window: its winner's share is dy, if the ReLU before let it through (y > 0: the winner
// is y); 0 elsewhere, also where the window is cut and has no output. Returns the share.
template <typename T, int N, int WINDOW>
__device__ static inline vec<T, N> backward_window(const pool_grid &grid,
                                                   const backward_tensors<T> &t, uint32_t index) {
    const int window = WINDOW ? WINDOW : grid.window;
    place p = place_of(index, grid.places);
    vec<T, N> gradient;
    vec<uint8_t, N> winner = {};
    for (int k = 0; k < N; k++)
        gradient.at[k] = from_float<T>(0);
    if ((int)p.row < t.out_height && (int)p.column < t.out_width) {
        size_t output = ((size_t)p.image * t.out_height + p.row) * t.out_width + p.column;
        size_t at = output * grid.channels + (size_t)p.group * N;
        gradient = load<N>(t.dy + at);
        winner = load<N>(t.saved + at);
        if (t.relu_input) {
            vec<T, N> out = load<N>(t.y + at);
            for (int k = 0; k < N; k++)
                if (!(to_float(out.at[k]) > 0))
                    gradient.at[k] = from_float<T>(0);
        }
    }
    T *to = t.dx + corner(p, grid, N);
    int rows = min(window, grid.height - (int)p.row * window);
    int columns = min(window, grid.width - (int)p.column * window);
    for (int position = 0; position < window * window; position++) {
        int row = position / window, column = position % window;
        if (row >= rows || column >= columns)
            continue;
        vec<T, N> out;
        for (int k = 0; k < N; k++)
            out.at[k] = winner.at[k] == position ? gradient.at[k] : from_float<T>(0);
        store<N>(to + ((size_t)row * grid.width + column) * grid.channels, out);
    }
    return gradient;
}

template <typename T, int N, int WINDOW>
static __global__ void maxpool2d_backward(pool_grid grid, backward_tensors<T> t) {
    uint32_t index = blockIdx.x * THREADS + threadIdx.x;
    if (index < grid.places.count)
        backward_window<T, N, WINDOW>(grid, t, index);
}

// --- the same with sums over all but the channels: a block has whole groups side by side, so that
// a thread keeps its channels; the last block to finish adds the blocks' sums up

// partial[c % N][..] of a block's threads to of_block[channels].
template <int N>
__device__ static inline void sum_block(const float (*partial)[THREADS], int groups, int across,
                                        float *of_block) {
    for (int c = (int)threadIdx.x; c < groups * N; c += THREADS) {
        float sum = 0;
        for (int r = 0; r < across; r++)
            sum += partial[c % N][r * groups + c / N];
        of_block[c] = sum;
    }
}

// sums[c] of all blocks, by one block: threads side by side over W channels each, and down the
// blocks.
template <int W>
__device__ static inline void sum_blocks(const float *of_blocks, int channels, float *sums) {
    __shared__ float partial[W][THREADS];
    int across = channels / W, down = THREADS / across;
    int column = (int)threadIdx.x % across, slice = (int)threadIdx.x / across;
    float sum[W] = {};
    for (unsigned block = (unsigned)slice; slice < down && block < gridDim.x; block += down)
        for (int k = 0; k < W; k++)
            sum[k] += __ldcg(of_blocks + (size_t)block * channels + column * W + k);
    for (int k = 0; k < W; k++)
        partial[k][threadIdx.x] = sum[k];
    __syncthreads();
    if (slice > 0)
        return;
    for (int k = 0; k < W; k++) {
        for (int other = 1; other < down; other++)
            sum[k] += partial[k][other * across + column];
        sums[column * W + k] = sum[k];
    }
}

template <typename T, int N, int WINDOW>
static __global__ void maxpool2d_backward_sums(pool_grid grid, backward_tensors<T> t, float *sums,
                                               float *of_blocks, block_sums *scratch) {
    __shared__ float partial[N][THREADS];
    int groups = (int)grid.places.groups.value, across = THREADS / groups; // windows at once
    float sum[N] = {};
    bool works = (int)threadIdx.x < across * groups;
    uint32_t at_once = (uint32_t)(across * groups);
    for (uint64_t index = (uint64_t)blockIdx.x * at_once + threadIdx.x;
         works && index < grid.places.count; index += (uint64_t)gridDim.x * at_once) {
        vec<T, N> share = backward_window<T, N, WINDOW>(grid, t, (uint32_t)index);
        for (int k = 0; k < N; k++)
            sum[k] += to_float(share.at[k]);
    }
    for (int k = 0; k < N; k++)
        partial[k][threadIdx.x] = sum[k];
    __syncthreads();
    sum_block<N>(partial, groups, across, of_blocks + (size_t)blockIdx.x * grid.channels);
    __threadfence(); // before this block counts as arrived
    __syncthreads();
    if (!is_last_block(&scratch->arrived))
        return;
    if (grid.channels % 4 == 0)
        sum_blocks<4>(of_blocks, grid.channels, sums);
    else
        sum_blocks<1>(of_blocks, grid.channels, sums);
}

static bool grid_for(const pool_arguments *a, int n, int down, int across, pool_grid *out) {
    *out = {{}, a->height, a->width, a->channels, a->window};
    return place_grid_for(a->n, down, across, a->channels / n, &out->places);
}

static int up(int size, int window) {
    return (size + window - 1) / window;
}

bool kernel_maxpool2d_fits(const pool_arguments *a) {
    pool_grid grid;
    return grid_for(a, 1, up(a->height, a->window), up(a->width, a->window), &grid);
}

template <typename T, int N>
static cudaError_t launch_forward(cudaStream_t stream, const pool_arguments *a, const T *x, T *y,
                                  uint8_t *saved) {
    pool_grid grid;
    if (!grid_for(a, N, a->height / a->window, a->width / a->window, &grid))
        return cudaErrorInvalidValue;
    if (!grid.places.count)
        return cudaSuccess;
    auto kernel = a->window == 2 ? maxpool2d_forward<T, N, 2> : maxpool2d_forward<T, N, 0>;
    return LS_LAUNCH(kernel, blocks_for(grid.places.count, THREADS), THREADS, stream, grid, x, y,
                     saved);
}

// Where the sums of a backward with sums go; all NULL: one without.
typedef struct sums_places {
    float *sums, *of_blocks;
    block_sums *scratch;
    int processors;
} sums_places;

template <typename T, int N, int WINDOW>
static cudaError_t launch_window(cudaStream_t stream, const pool_grid &grid,
                                 const backward_tensors<T> &t, const sums_places &to) {
    if (to.sums) {
        unsigned blocks = blocks_for(grid.places.count,
                                     THREADS / grid.places.groups.value * grid.places.groups.value);
        unsigned most = (unsigned)to.processors * SUMS_BLOCKS;
        auto kernel = maxpool2d_backward_sums<T, N, WINDOW>;
        return LS_LAUNCH(kernel, blocks < most ? blocks : most, THREADS, stream, grid, t, to.sums,
                         to.of_blocks, to.scratch);
    }
    auto kernel = maxpool2d_backward<T, N, WINDOW>;
    return LS_LAUNCH(kernel, blocks_for(grid.places.count, THREADS), THREADS, stream, grid, t);
}

template <typename T, int N>
static cudaError_t launch_backward(cudaStream_t stream, const pool_arguments *a, const T *dy,
                                   const T *y, const uint8_t *saved, T *dx, const sums_places &to) {
    pool_grid grid;
    if (!grid_for(a, N, up(a->height, a->window), up(a->width, a->window), &grid))
        return cudaErrorInvalidValue;
    if (!grid.places.count)
        return cudaSuccess;
    backward_tensors<T> t = {
        a->height / a->window, a->width / a->window, a->relu_input, dy, y, saved, dx};
    return a->window == 2 ? launch_window<T, N, 2>(stream, grid, t, to)
                          : launch_window<T, N, 0>(stream, grid, t, to);
}

cudaError_t kernel_maxpool2d_forward(cudaStream_t stream, dtype type, const pool_arguments *a,
                                     const void *x, void *y, uint8_t *saved) {
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool is_wide = a->channels % wide<T> == 0 && are_aligned(16, x, y, saved);
        auto launch = is_wide ? launch_forward<T, wide<T>> : launch_forward<T, 1>;
        return launch(stream, a, (const T *)x, (T *)y, saved);
    });
}

static cudaError_t run_backward(cudaStream_t stream, dtype type, const pool_arguments *a,
                                const void *dy, const void *y, const uint8_t *saved, void *dx,
                                const sums_places &to) {
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool is_wide = a->channels % wide<T> == 0 && are_aligned(16, dy, y, saved, dx);
        auto launch = is_wide ? launch_backward<T, wide<T>> : launch_backward<T, 1>;
        return launch(stream, a, (const T *)dy, (const T *)y, saved, (T *)dx, to);
    });
}

cudaError_t kernel_maxpool2d_backward(cudaStream_t stream, dtype type, const pool_arguments *a,
                                      const void *dy, const void *y, const uint8_t *saved,
                                      void *dx) {
    return run_backward(stream, type, a, dy, y, saved, dx, sums_places());
}

// A block has at least one window's channels, however few a thread has.
bool kernel_maxpool2d_sums(const pool_arguments *a) {
    return a->channels <= THREADS && a->n > 0;
}

size_t kernel_maxpool2d_sums_workspace(int processors, const pool_arguments *a) {
    return (size_t)processors * SUMS_BLOCKS * (size_t)a->channels * sizeof(float);
}

cudaError_t kernel_maxpool2d_backward_sums(cudaStream_t stream, int processors, dtype type,
                                           const pool_arguments *a, const void *dy, const void *y,
                                           const uint8_t *saved, void *dx, float *sums,
                                           void *workspace, void *scratch) {
    if (!kernel_maxpool2d_sums(a))
        return cudaErrorInvalidValue;
    sums_places to = {sums, (float *)workspace, (block_sums *)scratch, processors};
    return run_backward(stream, type, a, dy, y, saved, dx, to);
}
