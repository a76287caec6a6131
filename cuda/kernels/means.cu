// Global average pooling of channels-last images. Forward: a block has a tile of an image's
// channels, N a thread, and its threads go down the pixels. Backward: a thread has N channels of a
// pixel.
#include "cuda/kernels/divisor.cuh"
#include "cuda/kernels/vector.cuh"

enum { THREADS = 256, ACROSS = 32 };

typedef struct mean_grid {
    int pixels, channels, log2_across;
    unsigned tiles; // of an image's channels
} mean_grid;

template <typename T, int N>
static __global__ void means_forward(mean_grid grid, const T *x, T *y) {
    __shared__ float partial[N][THREADS];
    unsigned image = blockIdx.x / grid.tiles, tile = blockIdx.x % grid.tiles;
    int across = 1 << grid.log2_across, down = THREADS >> grid.log2_across;
    int column = ((int)tile * across + ((int)threadIdx.x & (across - 1))) * N;
    float sum[N] = {};
    if (column < grid.channels) {
        const T *from = x + (size_t)image * grid.pixels * grid.channels + column;
        for (int pixel = (int)threadIdx.x >> grid.log2_across; pixel < grid.pixels; pixel += down) {
            vec<T, N> in = load<N>(from + (size_t)pixel * grid.channels);
            for (int k = 0; k < N; k++)
                sum[k] += to_float(in.at[k]);
        }
    }
    for (int k = 0; k < N; k++)
        partial[k][threadIdx.x] = sum[k];
    for (int half = down / 2; half > 0; half /= 2) {
        __syncthreads();
        unsigned other = threadIdx.x + (unsigned)(half << grid.log2_across);
        if (threadIdx.x < (unsigned)(half << grid.log2_across))
            for (int k = 0; k < N; k++)
                partial[k][threadIdx.x] += partial[k][other];
    }
    if (threadIdx.x >> grid.log2_across > 0 || column >= grid.channels)
        return;
    vec<T, N> out;
    for (int k = 0; k < N; k++)
        out.at[k] = from_float<T>(partial[k][threadIdx.x] / (float)grid.pixels);
    store<N>(y + (size_t)image * grid.channels + column, out);
}

template <typename T, int N>
static __global__ void means_backward(uint32_t count, divisor groups, divisor pixels, const T *dy,
                                      T *dx) {
    uint32_t index = blockIdx.x * THREADS + threadIdx.x, group, pixel;
    if (index >= count)
        return;
    uint32_t image = divide(divide(index, groups, &group), pixels, &pixel);
    vec<T, N> out = load<N>(dy + ((size_t)image * groups.value + group) * N);
    for (int k = 0; k < N; k++)
        out.at[k] = from_float<T>(to_float(out.at[k]) / (float)pixels.value);
    store<N>(dx + (size_t)index * N, out);
}

static uint64_t elements(const mean_arguments *a) {
    return (uint64_t)a->n * (uint64_t)a->pixels * (uint64_t)a->channels;
}

bool kernel_means_fit(const mean_arguments *a) {
    return elements(a) <= INT32_MAX;
}

cudaError_t kernel_means_forward(cudaStream_t stream, dtype type, const mean_arguments *a,
                                 const void *x, void *y) {
    if (!elements(a))
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool is_wide = a->channels % wide<T> == 0 && are_aligned(16, x, y);
        int vectors = is_wide ? a->channels / wide<T> : a->channels;
        mean_grid grid = {a->pixels, a->channels, 0, 0};
        while ((1 << grid.log2_across) < vectors && (1 << grid.log2_across) < ACROSS)
            grid.log2_across++;
        grid.tiles = blocks_for((size_t)vectors, (size_t)1 << grid.log2_across);
        auto kernel = is_wide ? means_forward<T, wide<T>> : means_forward<T, 1>;
        return LS_LAUNCH(kernel, grid.tiles * (unsigned)a->n, THREADS, stream, grid, (const T *)x,
                         (T *)y);
    });
}

cudaError_t kernel_means_backward(cudaStream_t stream, dtype type, const mean_arguments *a,
                                  const void *dy, void *dx) {
    if (!elements(a))
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        bool is_wide = a->channels % wide<T> == 0 && are_aligned(16, dy, dx);
        uint32_t groups = (uint32_t)(is_wide ? a->channels / wide<T> : a->channels);
        uint32_t count = groups * (uint32_t)a->n * (uint32_t)a->pixels;
        auto kernel = is_wide ? means_backward<T, wide<T>> : means_backward<T, 1>;
        return LS_LAUNCH(kernel, blocks_for(count, THREADS), THREADS, stream, count,
                         divisor_of(groups), divisor_of((uint32_t)a->pixels), (const T *)dy,
                         (T *)dx);
    });
}
