// Max pooling of channels-last images whose windows overlap, leave gaps or begin in padding: a
// thread has N channels of one window, or in backward of one pixel of x. Windows that lie side by
// side are pool.cu's.
#include "cuda/kernels/places.cuh"
#include "cuda/kernels/vector.cuh"

enum { THREADS = 256 };

typedef struct window_grid {
    place_grid places; // windows, in backward pixels
    window_arguments of;
} window_grid;

// WINDOW, STRIDE 0: known only here.
template <typename T, int N, int WINDOW, int STRIDE>
static __global__ void windows_forward(window_grid grid, const T *x, T *y, uint8_t *saved) {
    uint32_t index = blockIdx.x * THREADS + threadIdx.x;
    if (index >= grid.places.count)
        return;
    const int window = WINDOW ? WINDOW : grid.of.window, stride = STRIDE ? STRIDE : grid.of.stride;
    place p = place_of(index, grid.places);
    int top = (int)p.row * stride - grid.of.padding,
        left = (int)p.column * stride - grid.of.padding;
    const T *image = x + (size_t)p.image * grid.of.height * grid.of.width * grid.of.channels +
                     (size_t)p.group * N;
    auto pixel = [&](int row, int column) {
        return load<N>(image + ((size_t)row * grid.of.width + column) * grid.of.channels);
    };
    int first_row = top < 0 ? -top : 0, first_column = left < 0 ? -left : 0;
    vec<T, N> best = pixel(top + first_row, left + first_column);
    vec<uint8_t, N> winner;
    for (int k = 0; k < N; k++)
        winner.at[k] = (uint8_t)(first_row * window + first_column);
    for (int row = 0; row < window; row++)
        for (int column = 0; column < window; column++) {
            int from_row = top + row, from_column = left + column;
            if (from_row < 0 || from_row >= grid.of.height || from_column < 0 ||
                from_column >= grid.of.width)
                continue;
            vec<T, N> in = pixel(from_row, from_column);
            for (int k = 0; k < N; k++)
                if (to_float(in.at[k]) > to_float(best.at[k])) {
                    best.at[k] = in.at[k];
                    winner.at[k] = (uint8_t)(row * window + column);
                }
        }
    store<N>(y + (size_t)index * N, best);
    store<N>(saved + (size_t)index * N, winner);
}

// The windows along one side that hold pixel `at`: *first to before the result.
__device__ static inline int windows_with(int at, int padding, int window, int stride, int outputs,
                                          int *first) {
    int place = at + padding, before = place - window; // the last pixel of those that end before it
    *first = before < 0 ? 0 : before / stride + 1;
    return place / stride < outputs ? place / stride + 1 : outputs;
}

// The ReLU before let a winner through where y, which it is, is positive.
template <typename T, int N, int WINDOW, int STRIDE>
static __global__ void windows_backward(window_grid grid, const T *dy, const T *y,
                                        const uint8_t *saved, T *dx) {
    uint32_t index = blockIdx.x * THREADS + threadIdx.x;
    if (index >= grid.places.count)
        return;
    const int window = WINDOW ? WINDOW : grid.of.window, stride = STRIDE ? STRIDE : grid.of.stride;
    const int padding = grid.of.padding;
    place p = place_of(index, grid.places);
    int down, right;
    int end_down = windows_with((int)p.row, padding, window, stride, grid.of.out_height, &down);
    int end_right = windows_with((int)p.column, padding, window, stride, grid.of.out_width, &right);
    float sum[N] = {};
    for (int r = down; r < end_down; r++)
        for (int c = right; c < end_right; c++) {
            int position =
                ((int)p.row + padding - r * stride) * window + (int)p.column + padding - c * stride;
            size_t line = (size_t)p.image * grid.of.out_height + r;
            size_t at = (line * grid.of.out_width + c) * grid.of.channels + (size_t)p.group * N;
            vec<uint8_t, N> winner = load<N>(saved + at);
            vec<T, N> gradient = load<N>(dy + at), out = gradient;
            if (grid.of.relu_input)
                out = load<N>(y + at);
            for (int k = 0; k < N; k++)
                if (winner.at[k] == position && (!grid.of.relu_input || to_float(out.at[k]) > 0))
                    sum[k] += to_float(gradient.at[k]);
        }
    vec<T, N> out;
    for (int k = 0; k < N; k++)
        out.at[k] = from_float<T>(sum[k]);
    store<N>(dx + (size_t)index * N, out);
}

static bool grid_for(const window_arguments *a, int n, int down, int across, window_grid *out) {
    out->of = *a;
    return place_grid_for(a->n, down, across, a->channels / n, &out->places);
}

bool kernel_windows_fit(const window_arguments *a) {
    window_grid grid;
    return grid_for(a, 1, a->height, a->width, &grid) &&
           grid_for(a, 1, a->out_height, a->out_width, &grid);
}

// ResNet's, which are known as the kernel is compiled.
static bool is_common(const window_arguments *a) {
    return a->window == 3 && a->stride == 2;
}

template <typename T, int N>
static cudaError_t launch_forward(cudaStream_t stream, const window_arguments *a, const T *x, T *y,
                                  uint8_t *saved) {
    window_grid grid;
    if (!grid_for(a, N, a->out_height, a->out_width, &grid))
        return cudaErrorInvalidValue;
    if (!grid.places.count)
        return cudaSuccess;
    auto kernel = is_common(a) ? windows_forward<T, N, 3, 2> : windows_forward<T, N, 0, 0>;
    return LS_LAUNCH(kernel, blocks_for(grid.places.count, THREADS), THREADS, stream, grid, x, y,
                     saved);
}

template <typename T, int N>
static cudaError_t launch_backward(cudaStream_t stream, const window_arguments *a, const T *dy,
                                   const T *y, const uint8_t *saved, T *dx) {
    window_grid grid;
    if (!grid_for(a, N, a->height, a->width, &grid))
        return cudaErrorInvalidValue;
    if (!grid.places.count)
        return cudaSuccess;
    auto kernel = is_common(a) ? windows_backward<T, N, 3, 2> : windows_backward<T, N, 0, 0>;
    return LS_LAUNCH(kernel, blocks_for(grid.places.count, THREADS), THREADS, stream, grid, dy, y,
                     saved, dx);
}

cudaError_t kernel_windows_forward(cudaStream_t stream, dtype type, const window_arguments *a,
                                   const void *x, void *y, uint8_t *saved) {
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool is_wide = a->channels % wide<T> == 0 && are_aligned(16, x, y, saved);
        auto launch = is_wide ? launch_forward<T, wide<T>> : launch_forward<T, 1>;
        return launch(stream, a, (const T *)x, (T *)y, saved);
    });
}

cudaError_t kernel_windows_backward(cudaStream_t stream, dtype type, const window_arguments *a,
                                    const void *dy, const void *y, const uint8_t *saved, void *dx) {
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool is_wide = a->channels % wide<T> == 0 && are_aligned(16, dy, y, saved, dx);
        auto launch = is_wide ? launch_backward<T, wide<T>> : launch_backward<T, 1>;
        return launch(stream, a, (const T *)dy, (const T *)y, saved, (T *)dx);
    });
}
