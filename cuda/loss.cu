// Softmax cross-entropy: loss, accuracy and gradient in one pass over the rows, each held by a
// group of lanes of one warp. The blocks' sums are added up by the last block to finish.
#include "block_sum.cuh"
#include "vector.cuh"

enum { THREADS = 256 };

// Calls f(class, logit) for this lane's classes of a row, in ascending order.
template <typename T, int N, typename F>
__device__ static inline void for_classes(const T *row, int classes, int lane, int lanes, F f) {
    for (int c = lane * N; c < classes; c += lanes * N) {
        vec<T, N> in = load<N>(row + c);
        for (int k = 0; k < N; k++)
            f(c + k, to_float(in.at[k]));
    }
}

// These three are over the group, for each of its lanes; all lanes of the warp call.

template <typename T, int N>
__device__ static inline float largest_of(const T *row, int classes, int lane, int lanes) {
    float largest = -INFINITY;
    for_classes<T, N>(row, classes, lane, lanes,
                      [&](int, float z) { largest = z > largest ? z : largest; });
    for (int offset = lanes / 2; offset > 0; offset /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, largest, offset);
        largest = other > largest ? other : largest;
    }
    return largest;
}

// Whether `label` is the lowest class whose logit is the largest.
template <typename T, int N>
__device__ static inline bool is_first(const T *row, int lane, int lanes, float largest,
                                       int label) {
    bool reached = to_float(row[label]) == largest;
    int lower = 0;
    if (reached)
        for_classes<T, N>(row, label, lane, lanes,
                          [&](int c, float z) { lower |= c < label && z == largest; });
    for (int offset = lanes / 2; offset > 0; offset /= 2)
        lower |= __shfl_xor_sync(0xffffffffu, lower, offset);
    return reached && !lower;
}

template <typename T, int N>
__device__ static inline float exponentials(const T *row, int classes, int lane, int lanes,
                                            float largest) {
    float sum = 0;
    for_classes<T, N>(row, classes, lane, lanes, [&](int, float z) { sum += expf(z - largest); });
    for (int offset = lanes / 2; offset > 0; offset /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    return sum;
}

template <typename T, int N>
__device__ static inline void write_gradient(const T *row, int classes, int lane, int lanes,
                                             float largest, float sum, int label, float scale,
                                             T *gradient) {
    float inverse = 1.0f / sum;
    for (int c = lane * N; c < classes; c += lanes * N) {
        vec<T, N> in = load<N>(row + c), out;
        for (int k = 0; k < N; k++) {
            float probability = expf(to_float(in.at[k]) - largest) * inverse;
            out.at[k] = from_float<T>((probability - (c + k == label ? 1.0f : 0.0f)) * scale);
        }
        store<N>(gradient + c, out);
    }
}

// Thread 0 of the last block adds what all blocks found. `loss` and `correct` are this block's, in
// its thread 0.
__device__ static inline void add_to_totals(double loss, double correct, int n, loss_totals *totals,
                                            block_sums *scratch) {
    if (gridDim.x > 1) {
        if (threadIdx.x == 0) {
            scratch->of_block[0][blockIdx.x] = loss;
            scratch->of_block[1][blockIdx.x] = correct;
        }
        if (!is_last_block(&scratch->arrived))
            return;
        loss = grid_sum(scratch, 0);
        correct = grid_sum(scratch, 1);
    }
    if (threadIdx.x == 0) {
        totals->loss_sum += loss;
        totals->correct += (int64_t)correct;
        totals->samples += n;
    }
}

// `lanes`: a power of two, at most 32.
template <typename T, int N>
static __global__ void softmax_cross_entropy(int n, int classes, int lanes, const T *logits,
                                             const int32_t *labels, float scale,
                                             const step_state *state, T *dlogits,
                                             loss_totals *totals, block_sums *scratch) {
    int lane = (int)threadIdx.x & (lanes - 1);
    int64_t rows = THREADS / lanes; // of a block, at once
    double loss = 0, correct = 0;
    if (state)
        scale *= state->loss_scale;
    // Every lane of a warp takes part in its shuffles: those past the last row repeat that one.
    for (int64_t first = blockIdx.x * rows; first < n; first += gridDim.x * rows) {
        int64_t row = first + (int)threadIdx.x / lanes;
        bool exists = row < n;
        if (!exists)
            row = n - 1;
        const T *z = logits + row * classes;
        int label = labels[row];
        float largest = largest_of<T, N>(z, classes, lane, lanes);
        float sum = exponentials<T, N>(z, classes, lane, lanes, largest);
        bool right = is_first<T, N>(z, lane, lanes, largest, label);
        if (exists && lane == 0) {
            loss += (double)logf(sum) + ((double)largest - (double)to_float(z[label]));
            correct += right;
        }
        if (exists && dlogits)
            write_gradient<T, N>(z, classes, lane, lanes, largest, sum, label, scale,
                                 dlogits + row * classes);
    }
    loss = block_sum(loss);
    correct = block_sum(correct);
    add_to_totals(loss, correct, n, totals, scratch);
}

// Enough that a lane has about one vector, or four classes one by one.
static int lanes_for(int classes, int width) {
    int lanes = 1, share = width > 1 ? width : 4;
    while (lanes < 32 && lanes * share < classes)
        lanes *= 2;
    return lanes;
}

cudaError_t kernel_softmax_cross_entropy(cudaStream_t stream, int processors, dtype type, int n,
                                         int classes, const void *logits, const int32_t *labels,
                                         float gradient_scale, const step_state *state,
                                         void *dlogits, loss_totals *totals, void *scratch) {
    if (n == 0)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        // dlogits NULL counts as aligned.
        bool is_wide = classes % wide<T> == 0 && are_aligned(16, logits, dlogits);
        auto kernel = is_wide ? softmax_cross_entropy<T, wide<T>> : softmax_cross_entropy<T, 1>;
        int lanes = lanes_for(classes, is_wide ? wide<T> : 1);
        unsigned blocks = blocks_for((size_t)n, (size_t)(THREADS / lanes));
        unsigned most = (unsigned)processors * 8 < SUMMED_BLOCKS ? (unsigned)processors * 8
                                                                 : (unsigned)SUMMED_BLOCKS;
        return LS_LAUNCH(kernel, blocks < most ? blocks : most, THREADS, stream, n, classes, lanes,
                         (const T *)logits, labels, gradient_scale, state, (T *)dlogits, totals,
                         (block_sums *)scratch);
    });
}
