// Max pooling of channels-last images: a thread has N channels of one window.
#include "divisor.cuh"
#include "vector.cuh"

enum { THREADS = 256 };

// Windows are numbered row by row, image by image; `across` and `down` count those of an image,
// in backward with the cut ones on its right and lower edge.
typedef struct pool_grid {
    uint32_t count; // of threads with work
    divisor groups; // of N channels
    divisor across, down;
    int height, width, channels, window; // of the input
} pool_grid;

typedef struct place {
    uint32_t group, column, row, image;
} place;

__device__ static inline place place_of(uint32_t index, const pool_grid &grid) {
    place p;
    uint32_t window = divide(index, grid.groups, &p.group);
    uint32_t line = divide(window, grid.across, &p.column);
    p.image = divide(line, grid.down, &p.row);
    return p;
}

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
    if (index >= grid.count)
        return;
    const int window = WINDOW ? WINDOW : grid.window;
    const T *from = x + corner(place_of(index, grid), grid, N);
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

// dx of one window: its winner's share is dy, if the ReLU before let it through (y > 0: the winner
// is y); 0 elsewhere, also where the window is cut and has no output.
template <typename T, int N, int WINDOW>
static __global__ void maxpool2d_backward(pool_grid grid, int out_height, int out_width,
                                          bool relu_input, const T *dy, const T *y,
                                          const uint8_t *saved, T *dx) {
    uint32_t index = blockIdx.x * THREADS + threadIdx.x;
    if (index >= grid.count)
        return;
    const int window = WINDOW ? WINDOW : grid.window;
    place p = place_of(index, grid);
    vec<T, N> gradient;
    vec<uint8_t, N> winner = {};
    for (int k = 0; k < N; k++)
        gradient.at[k] = from_float<T>(0);
    if ((int)p.row < out_height && (int)p.column < out_width) {
        size_t output = ((size_t)p.image * out_height + p.row) * out_width + p.column;
        size_t at = output * grid.channels + (size_t)p.group * N;
        gradient = load<N>(dy + at);
        winner = load<N>(saved + at);
        if (relu_input) {
            vec<T, N> out = load<N>(y + at);
            for (int k = 0; k < N; k++)
                if (!(to_float(out.at[k]) > 0))
                    gradient.at[k] = from_float<T>(0);
        }
    }
    T *to = dx + corner(p, grid, N);
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
}

static bool grid_for(const pool_arguments *a, int n, int down, int across, pool_grid *out) {
    uint64_t count =
        (uint64_t)a->n * (uint64_t)down * (uint64_t)across * (uint64_t)(a->channels / n);
    if (count > INT32_MAX)
        return false;
    *out = {(uint32_t)count,
            divisor_of((uint32_t)(a->channels / n)),
            divisor_of((uint32_t)across),
            divisor_of((uint32_t)down),
            a->height,
            a->width,
            a->channels,
            a->window};
    return true;
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
    if (!grid.count)
        return cudaSuccess;
    auto kernel = a->window == 2 ? maxpool2d_forward<T, N, 2> : maxpool2d_forward<T, N, 0>;
    return LS_LAUNCH(kernel, blocks_for(grid.count, THREADS), THREADS, stream, grid, x, y, saved);
}

template <typename T, int N>
static cudaError_t launch_backward(cudaStream_t stream, const pool_arguments *a, const T *dy,
                                   const T *y, const uint8_t *saved, T *dx) {
    pool_grid grid;
    if (!grid_for(a, N, up(a->height, a->window), up(a->width, a->window), &grid))
        return cudaErrorInvalidValue;
    if (!grid.count)
        return cudaSuccess;
    auto kernel = a->window == 2 ? maxpool2d_backward<T, N, 2> : maxpool2d_backward<T, N, 0>;
    return LS_LAUNCH(kernel, blocks_for(grid.count, THREADS), THREADS, stream, grid,
                     a->height / a->window, a->width / a->window, a->relu_input, dy, y, saved, dx);
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

cudaError_t kernel_maxpool2d_backward(cudaStream_t stream, dtype type, const pool_arguments *a,
                                      const void *dy, const void *y, const uint8_t *saved,
                                      void *dx) {
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool is_wide = a->channels % wide<T> == 0 && are_aligned(16, dy, y, saved, dx);
        auto launch = is_wide ? launch_backward<T, wide<T>> : launch_backward<T, 1>;
        return launch(stream, a, (const T *)dy, (const T *)y, saved, (T *)dx);
    });
}
