// uint8 images, gathered by index and augmented, to a normalised batch, channels last. A block has
// a piece of one image; a thread has VECTORS times N neighbouring elements of it, or, where
// channels are rounded up by zeros, 8 channels of a pixel.
#include "base/philox.h"
#include "cuda/kernels/divisor.cuh"
#include "cuda/kernels/vector.cuh"

enum { THREADS = 128, VECTORS = 2 };

typedef struct batch_grid {
    int pieces; // blocks an image
    divisor by_width, by_channels;
} batch_grid;

// Where a crop starts in the image (negative: in the padding), and whether it is mirrored.
typedef struct crop {
    int top, left;
    bool mirrored;
} crop;

__device__ static inline crop draw(const make_batch_arguments &a, int64_t id) {
    uint32_t bits[4];
    uint64_t epoch = a.state ? (uint64_t)a.state->epoch : 0;
    philox_block(a.seed, RANDOM_AUGMENTATION, epoch, (uint64_t)id, bits);
    uint32_t places = 2 * (uint32_t)a.crop_padding + 1;
    return {(int)(bits[0] % places) - a.crop_padding, (int)(bits[1] % places) - a.crop_padding,
            a.flip && bits[2] % 2 == 1};
}

// Elements `at` to at + N of an image after crop and flip; what lies outside it is black.
template <int N>
__device__ static inline vec<uint8_t, N> cropped(const make_batch_arguments &a,
                                                 const batch_grid &grid, const uint8_t *image,
                                                 const crop &from, uint32_t at) {
    uint32_t channel, column;
    uint32_t pixel = divide(at, grid.by_channels, &channel);
    uint32_t row = divide(pixel, grid.by_width, &column);
    vec<uint8_t, N> out;
    for (int k = 0; k < N; k++) {
        int source_row = (int)row + from.top;
        int source_column = (from.mirrored ? a.width - 1 - (int)column : (int)column) + from.left;
        bool inside = (unsigned)source_row < (unsigned)a.height &&
                      (unsigned)source_column < (unsigned)a.width;
        size_t source = ((size_t)source_row * a.width + source_column) * a.channels + channel;
        out.at[k] = inside ? image[source] : (uint8_t)0;
        if (++channel == (uint32_t)a.channels) {
            channel = 0;
            if (++column == (uint32_t)a.width) {
                column = 0;
                row++;
            }
        }
    }
    return out;
}

// A value of a channel of up to three, or of any where all are scaled alike.
__device__ static inline float scaled(const make_batch_arguments &a, float value,
                                      uint32_t channel) {
    if (!a.by_channel)
        return fmaf(value, a.scale, a.shift);
    float scale = channel == 0 ? a.scales[0] : channel == 1 ? a.scales[1] : a.scales[2];
    float shift = channel == 0 ? a.shifts[0] : channel == 1 ? a.shifts[1] : a.shifts[2];
    return fmaf(value, scale, shift);
}

// Elements `at` to at + N of an image.
template <typename T, int N>
__device__ static inline void write(const make_batch_arguments &a, T *image, uint32_t at,
                                    const vec<uint8_t, N> &pixels) {
    vec<T, N> out;
    uint32_t channel = a.by_channel ? at % 3 : 0;
    for (int k = 0; k < N; k++) {
        out.at[k] = from_float<T>(scaled(a, (float)pixels.at[k], channel));
        channel = channel == 2 ? 0 : channel + 1;
    }
    store<N>(image + at, out);
}

template <typename T, int N>
static __global__ void make_batch(const make_batch_arguments a, const batch_grid grid) {
    uint32_t k = blockIdx.x / (uint32_t)grid.pieces, piece = blockIdx.x % (uint32_t)grid.pieces;
    int64_t source = a.order ? a.order[(a.state ? a.state->cursor : 0) + k] : (int64_t)k;
    if (piece == 0 && threadIdx.x == 0)
        a.out_labels[k] = a.labels[source];
    uint32_t elements = (uint32_t)(a.height * a.width * a.channels);
    const uint8_t *image = a.images + (size_t)source * elements;
    T *out = (T *)a.out + (size_t)k * elements;
    uint32_t at[VECTORS];
    for (int v = 0; v < VECTORS; v++)
        at[v] = ((piece * VECTORS + v) * THREADS + threadIdx.x) * N;
    if (a.crop_padding || a.flip) {
        crop from = draw(a, a.order ? source : a.ids ? a.ids[k] : 0);
        for (int v = 0; v < VECTORS; v++)
            if (at[v] < elements)
                write<T, N>(a, out, at[v], cropped<N>(a, grid, image, from, at[v]));
        return;
    }
    vec<uint8_t, N> in[VECTORS];
    for (int v = 0; v < VECTORS; v++)
        if (at[v] < elements)
            in[v] = load<N>(image + at[v]);
    for (int v = 0; v < VECTORS; v++)
        if (at[v] < elements)
            write<T, N>(a, out, at[v], in[v]);
}

// A thread has 8 channels of a pixel, some of them zeros.
template <typename T>
static __global__ void make_padded(const make_batch_arguments a, const batch_grid grid) {
    uint32_t k = blockIdx.x / (uint32_t)grid.pieces, piece = blockIdx.x % (uint32_t)grid.pieces;
    int64_t source = a.order ? a.order[(a.state ? a.state->cursor : 0) + k] : (int64_t)k;
    if (piece == 0 && threadIdx.x == 0)
        a.out_labels[k] = a.labels[source];
    uint32_t pixels = (uint32_t)(a.height * a.width), groups = (uint32_t)a.out_channels / 8;
    uint32_t at = piece * THREADS + threadIdx.x, group, column;
    uint32_t pixel = divide(at, grid.by_channels, &group);
    uint32_t row = divide(pixel, grid.by_width, &column);
    if (pixel >= pixels)
        return;
    crop from = {0, 0, false};
    if (a.crop_padding || a.flip)
        from = draw(a, a.order ? source : a.ids ? a.ids[k] : 0);
    int source_row = (int)row + from.top;
    int source_column = (from.mirrored ? a.width - 1 - (int)column : (int)column) + from.left;
    bool inside =
        (unsigned)source_row < (unsigned)a.height && (unsigned)source_column < (unsigned)a.width;
    const uint8_t *image = a.images + (size_t)source * pixels * a.channels;
    vec<T, 8> out;
    for (int c = 0; c < 8; c++) {
        int channel = (int)group * 8 + c;
        size_t place = ((size_t)source_row * a.width + source_column) * a.channels + channel;
        float value = 0;
        if (channel < a.channels)
            value = scaled(a, inside ? (float)image[place] : 0.0f, (uint32_t)channel);
        out.at[c] = from_float<T>(value);
    }
    store<8>((T *)a.out + ((size_t)k * pixels * groups + at) * 8, out);
}

static cudaError_t launch_padded(cudaStream_t stream, dtype type, const make_batch_arguments *a) {
    int64_t threads = (int64_t)a->height * a->width * (a->out_channels / 8);
    size_t pieces = blocks_for((size_t)threads, THREADS);
    if (a->out_channels % 8 || type == DTYPE_F32 || threads > INT32_MAX ||
        pieces * (size_t)a->count > INT32_MAX)
        return cudaErrorInvalidValue;
    batch_grid grid = {(int)pieces, divisor_of((uint32_t)a->width),
                       divisor_of((uint32_t)a->out_channels / 8)};
    auto kernel = type == DTYPE_BF16 ? make_padded<__nv_bfloat16> : make_padded<__half>;
    return LS_LAUNCH(kernel, (unsigned)(pieces * (size_t)a->count), THREADS, stream, *a, grid);
}

cudaError_t kernel_make_batch(cudaStream_t stream, dtype type, const make_batch_arguments *a) {
    int64_t elements = (int64_t)a->height * a->width * a->channels;
    if (!a->count || !elements)
        return cudaSuccess;
    if (a->out_channels > a->channels)
        return launch_padded(stream, type, a);
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        // Every image starts where a vector of bytes may.
        bool is_wide =
            elements % wide<T> == 0 && are_aligned(wide<T>, a->images) && are_aligned(16, a->out);
        size_t pieces =
            blocks_for((size_t)elements, (size_t)THREADS * VECTORS * (is_wide ? wide<T> : 1));
        if (elements > INT32_MAX || pieces * (size_t)a->count > INT32_MAX)
            return cudaErrorInvalidValue;
        batch_grid grid = {(int)pieces, divisor_of((uint32_t)a->width),
                           divisor_of((uint32_t)a->channels)};
        auto kernel = is_wide ? make_batch<T, wide<T>> : make_batch<T, 1>;
        return LS_LAUNCH(kernel, (unsigned)(pieces * (size_t)a->count), THREADS, stream, *a, grid);
    });
}
