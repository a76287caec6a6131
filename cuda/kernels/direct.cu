// Products and convolutions without a library: a thread a result, which adds up its terms in double
// in a fixed order and rounds once. Slow, and there on every GPU: what is taken where cuBLASLt or
// cuDNN refuses everything else.
#include "cuda/kernels/vector.cuh"

enum { THREADS = 256 };

__device__ static inline size_t own_place() {
    return (size_t)blockIdx.x * THREADS + threadIdx.x;
}

template <typename T, typename Result>
static __global__ void multiply(product_arguments of, const T *left, const T *right,
                                const float *bias, Result *result) {
    size_t place = own_place();
    if (place >= (size_t)of.rows * of.columns)
        return;
    size_t row = place / of.columns, column = place % of.columns;
    size_t left_step = of.left_transposed ? of.rows : 1;
    size_t right_step = of.right_transposed ? 1 : of.columns;
    const T *a = left + (of.left_transposed ? row : row * of.inner);
    const T *b = right + (of.right_transposed ? column * of.inner : column);
    double sum = bias ? (double)bias[column] : 0;
    for (int inner = 0; inner < of.inner; inner++)
        sum += (double)to_float(a[inner * left_step]) * (double)to_float(b[inner * right_step]);
    result[place] = from_float<Result>(of.relu && sum < 0 ? 0.0f : (float)sum);
}

template <typename T>
static __global__ void add_bias(product_arguments of, const float *sums, const float *bias,
                                T *result) {
    size_t place = own_place();
    if (place >= (size_t)of.rows * of.columns)
        return;
    float sum = sums[place] + bias[place % of.columns];
    result[place] = from_float<T>(of.relu && sum < 0 ? 0.0f : sum);
}

// x[n, row, column, 0], or NULL outside the image.
template <typename T>
__device__ static inline const T *pixel(const T *x, int n, int row, int column, int height,
                                        int width, int channels) {
    if (row < 0 || row >= height || column < 0 || column >= width)
        return nullptr;
    return x + (((size_t)n * height + row) * width + column) * channels;
}

template <typename T>
static __global__ void convolve(direct_arguments of, const T *x, const T *weights,
                                const float *bias, T *y) {
    size_t place = own_place();
    if (place >= (size_t)of.n * of.out_height * of.out_width * of.out_channels)
        return;
    int out = (int)(place % of.out_channels),
        column = (int)(place / of.out_channels % of.out_width);
    size_t rows = place / of.out_channels / of.out_width;
    int row = (int)(rows % of.out_height), n = (int)(rows / of.out_height);
    double sum = bias ? (double)bias[out] : 0;
    for (int r = 0; r < of.kernel; r++)
        for (int s = 0; s < of.kernel; s++) {
            const T *from =
                pixel(x, n, row * of.stride + r - of.padding, column * of.stride + s - of.padding,
                      of.height, of.width, of.channels);
            const T *w = weights + (((size_t)out * of.kernel + r) * of.kernel + s) * of.channels;
            for (int c = 0; from && c < of.channels; c++)
                sum += (double)to_float(from[c]) * (double)to_float(w[c]);
        }
    y[place] = from_float<T>(of.relu && sum < 0 ? 0.0f : (float)sum);
}

// dy's pixel whose window has x's `at` at its place `offset`; -1: none.
__device__ static inline int window_of(int at, int offset, int padding, int stride) {
    int from = at + padding - offset;
    return from >= 0 && from % stride == 0 ? from / stride : -1;
}

template <typename T>
static __global__ void convolve_back(direct_arguments of, const T *dy, const T *weights, T *dx) {
    size_t place = own_place();
    if (place >= (size_t)of.n * of.height * of.width * of.channels)
        return;
    int c = (int)(place % of.channels), column = (int)(place / of.channels % of.width);
    size_t rows = place / of.channels / of.width;
    int row = (int)(rows % of.height), n = (int)(rows / of.height);
    double sum = 0;
    for (int r = 0; r < of.kernel; r++)
        for (int s = 0; s < of.kernel; s++) {
            const T *from = pixel(dy, n, window_of(row, r, of.padding, of.stride),
                                  window_of(column, s, of.padding, of.stride), of.out_height,
                                  of.out_width, of.out_channels);
            size_t tap = (size_t)r * of.kernel + s, taps = (size_t)of.kernel * of.kernel;
            for (int out = 0; from && out < of.out_channels; out++)
                sum += (double)to_float(from[out]) *
                       (double)to_float(weights[((size_t)out * taps + tap) * of.channels + c]);
        }
    dx[place] = from_float<T>((float)sum);
}

template <typename T, typename R>
static __global__ void convolve_weights(direct_arguments of, const T *x, const T *dy, R *dweights) {
    size_t place = own_place();
    if (place >= (size_t)of.out_channels * of.kernel * of.kernel * of.channels)
        return;
    int c = (int)(place % of.channels), s = (int)(place / of.channels % of.kernel);
    int r = (int)(place / of.channels / of.kernel % of.kernel);
    int out = (int)(place / of.channels / of.kernel / of.kernel);
    double sum = 0;
    for (int n = 0; n < of.n; n++)
        for (int row = 0; row < of.out_height; row++)
            for (int column = 0; column < of.out_width; column++) {
                const T *from =
                    pixel(x, n, row * of.stride + r - of.padding,
                          column * of.stride + s - of.padding, of.height, of.width, of.channels);
                const T *gradient =
                    pixel(dy, n, row, column, of.out_height, of.out_width, of.out_channels);
                if (from)
                    sum += (double)to_float(from[c]) * (double)to_float(gradient[out]);
            }
    dweights[place] = from_float<R>((float)sum);
}

cudaError_t kernel_product(cudaStream_t stream, dtype type, dtype result_type,
                           const product_arguments *of, const void *left, const void *right,
                           const float *bias, void *result) {
    unsigned blocks = blocks_for((size_t)of->rows * (size_t)of->columns, THREADS);
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        auto wide = multiply<T, float>;
        auto same = multiply<T, T>;
        if (result_type == DTYPE_F32)
            return LS_LAUNCH(wide, blocks, THREADS, stream, *of, (const T *)left, (const T *)right,
                             bias, (float *)result);
        if (result_type != type)
            return cudaErrorInvalidValue;
        return LS_LAUNCH(same, blocks, THREADS, stream, *of, (const T *)left, (const T *)right,
                         bias, (T *)result);
    });
}

cudaError_t kernel_add_bias(cudaStream_t stream, dtype type, const product_arguments *of,
                            const float *sums, const float *bias, void *result) {
    unsigned blocks = blocks_for((size_t)of->rows * (size_t)of->columns, THREADS);
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        return LS_LAUNCH(add_bias<T>, blocks, THREADS, stream, *of, sums, bias, (T *)result);
    });
}

cudaError_t kernel_convolve(cudaStream_t stream, dtype type, const direct_arguments *of,
                            const void *x, const void *weights, const float *bias, void *y) {
    size_t results = (size_t)of->n * of->out_height * of->out_width * of->out_channels;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        return LS_LAUNCH(convolve<T>, blocks_for(results, THREADS), THREADS, stream, *of,
                         (const T *)x, (const T *)weights, bias, (T *)y);
    });
}

cudaError_t kernel_convolve_back(cudaStream_t stream, dtype type, const direct_arguments *of,
                                 const void *dy, const void *weights, void *dx) {
    size_t results = (size_t)of->n * of->height * of->width * of->channels;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        return LS_LAUNCH(convolve_back<T>, blocks_for(results, THREADS), THREADS, stream, *of,
                         (const T *)dy, (const T *)weights, (T *)dx);
    });
}

cudaError_t kernel_convolve_weights(cudaStream_t stream, dtype type, const direct_arguments *of,
                                    const void *x, const void *dy, dtype result_type,
                                    void *dweights) {
    size_t results = (size_t)of->out_channels * of->kernel * of->kernel * of->channels;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        auto wide = convolve_weights<T, float>;
        auto same = convolve_weights<T, T>;
        unsigned blocks = blocks_for(results, THREADS);
        if (result_type == DTYPE_F32)
            return LS_LAUNCH(wide, blocks, THREADS, stream, *of, (const T *)x, (const T *)dy,
                             (float *)dweights);
        if (result_type != type)
            return cudaErrorInvalidValue;
        return LS_LAUNCH(same, blocks, THREADS, stream, *of, (const T *)x, (const T *)dy,
                         (T *)dweights);
    });
}
