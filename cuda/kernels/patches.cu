// An image cut into square patches, and back. A row of a patch lies in one piece on both sides: of
// [strip, row of it, patch, piece] in the image, [strip, patch, row, piece] among the patches. A
// thread moves a vector of a piece.
#include "cuda/kernels/divisor.cuh"
#include "cuda/kernels/vector.cuh"

enum { THREADS = 256 };

template <typename T, int N, bool BACK>
static __global__ void move_patches(uint32_t count, divisor pieces, divisor across, divisor side,
                                    const T *from, T *to) {
    uint32_t image = blockIdx.x * THREADS + threadIdx.x, piece, patch, row;
    if (image >= count)
        return;
    uint32_t strip = divide(divide(divide(image, pieces, &piece), across, &patch), side, &row);
    uint32_t place = ((strip * across.value + patch) * side.value + row) * pieces.value + piece;
    size_t source = (size_t)(BACK ? place : image) * N;
    size_t target = (size_t)(BACK ? image : place) * N;
    store<N>(to + target, load<N>(from + source));
}

static uint64_t elements(const patch_arguments *a) {
    return (uint64_t)a->n * (uint64_t)a->height * (uint64_t)a->width * (uint64_t)a->channels;
}

bool kernel_patches_fit(const patch_arguments *a) {
    return elements(a) <= INT32_MAX;
}

cudaError_t kernel_move_patches(cudaStream_t stream, dtype type, const patch_arguments *a,
                                bool back, const void *from, void *to) {
    if (!elements(a))
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        uint32_t length = (uint32_t)(a->side * a->channels);
        bool is_wide = length % wide<T> == 0 && are_aligned(16, from, to);
        uint32_t n = is_wide ? wide<T> : 1, count = (uint32_t)elements(a) / n;
        auto forth = is_wide ? move_patches<T, wide<T>, false> : move_patches<T, 1, false>;
        auto moved_back = is_wide ? move_patches<T, wide<T>, true> : move_patches<T, 1, true>;
        auto kernel = back ? moved_back : forth;
        return LS_LAUNCH(kernel, blocks_for(count, THREADS), THREADS, stream, count,
                         divisor_of(length / n), divisor_of((uint32_t)(a->width / a->side)),
                         divisor_of((uint32_t)a->side), (const T *)from, (T *)to);
    });
}
