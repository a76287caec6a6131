// Softmax cross-entropy: loss, accuracy and gradient in one kernel. A row of few classes belongs to
// one thread, a longer one to a group of lanes of one warp. The blocks' sums are added up by the
// last block to finish. exp is taken of numbers that are not positive, where __expf errs by a few
// 2^-24 of 1, the largest of them.
#include "cuda/kernels/block_sum.cuh"
#include "cuda/kernels/vector.cuh"

enum {
    THREADS = 256,
    FEW = 16,      // classes, at most: a row of one thread
    FEW_ROWS = 128 // a block's rows at once, a thread each
};

// Of a smoothed target: what lies at the label, and at every class besides.
typedef struct target {
    float label, elsewhere;
} target;

__device__ static inline target target_of(float smoothing, int classes) {
    return {1.0f - smoothing, smoothing / (float)classes};
}

// Whether class c comes before the label, whose logit is `wanted`.
__device__ static inline int comes_before(float z, int c, float wanted, int label) {
    return z > wanted || (z == wanted && c < label);
}

// What a thread, and then a block, found in its rows.
typedef struct found_totals {
    double loss, correct, among_five;
} found_totals;

// Thread 0 of the last block adds what all threads found. `evaluates`: among_five is counted.
__device__ static inline void add_to_totals(found_totals found, int n, bool evaluates,
                                            const step_state *state, loss_totals *totals,
                                            block_sums *scratch) {
    found.loss = block_sum(found.loss);
    found.correct = block_sum(found.correct);
    if (evaluates)
        found.among_five = block_sum(found.among_five);
    if (gridDim.x > 1) {
        if (threadIdx.x == 0) {
            scratch->of_block[0][blockIdx.x] = found.loss;
            scratch->of_block[1][blockIdx.x] = found.correct;
            scratch->of_block[2][blockIdx.x] = found.among_five;
        }
        if (!is_last_block(&scratch->arrived))
            return;
        found.loss = grid_sum(scratch, 0);
        found.correct = grid_sum(scratch, 1);
        if (evaluates)
            found.among_five = grid_sum(scratch, 2);
    }
    if (threadIdx.x == 0) {
        totals->loss_sum += found.loss;
        totals->correct += (int64_t)found.correct;
        totals->among_five += (int64_t)found.among_five;
        totals->samples += n;
        if (!isfinite(totals->loss_sum) && totals->lost_step == 0 && state)
            totals->lost_step = state->step + state->skipped + 1;
    }
}

// The mean of the logits under the target.
__device__ static inline double target_logit(float wanted, double all, float smoothing,
                                             int classes) {
    if (smoothing == 0)
        return (double)wanted;
    return (1.0 - (double)smoothing) * (double)wanted + (double)smoothing * all / (double)classes;
}

// --- rows of few classes: a block's rows lie next to each other, so they come and go through
// shared memory in wide accesses.

template <typename T, int N> __device__ static inline void copy(T *to, const T *from, int count) {
    for (int at = (int)threadIdx.x * N; at < count; at += FEW_ROWS * N) {
        if (at + N <= count)
            store<N>(to + at, load<N>(from + at));
        else
            for (int tail = at; tail < count; tail++)
                to[tail] = from[tail];
    }
}

// The label's place in a row: how many classes come before it.
template <typename T> __device__ static inline int few_place(const T *row, int classes, int label) {
    float wanted = to_float(row[label]);
    int before = 0;
    for (int c = 0; c < classes; c++)
        before += comes_before(to_float(row[c]), c, wanted, label);
    return before;
}

// The loss of one row, which becomes its gradient. Two classes at a time, the number of classes
// being the same for all threads.
template <typename T>
__device__ static inline double few_classes(T *row, int classes, int label, float smoothing,
                                            float scale, bool *right) {
    float z[FEW], largest = -INFINITY, sum = 0;
    double all = 0; // the sum of the logits
    const target to = target_of(smoothing, classes);
    int best = 0;
    float wanted = to_float(row[label]);
#pragma unroll
    for (int c = 0; c < FEW; c++) {
        if (c % 2 == 0 && c >= classes)
            break;
        z[c] = c % 2 == 0 || c < classes ? to_float(row[c]) : -INFINITY;
        best = z[c] > largest ? c : best;
        largest = z[c] > largest ? z[c] : largest;
    }
#pragma unroll
    for (int c = 0; c < FEW; c++) {
        if (c % 2 == 0 && c >= classes)
            break;
        z[c] = __expf(z[c] - largest);
        sum += z[c];
    }
    if (smoothing > 0)
        for (int c = 0; c < classes; c++)
            all += (double)to_float(row[c]);
    float inverse = 1.0f / sum;
#pragma unroll
    for (int c = 0; c < FEW; c++) {
        if (c % 2 == 0 && c >= classes)
            break;
        if (c % 2 == 0 || c < classes)
            row[c] = from_float<T>((z[c] * inverse - to.elsewhere) * scale);
    }
    row[label] =
        from_float<T>((__expf(wanted - largest) * inverse - (to.label + to.elsewhere)) * scale);
    *right = best == label;
    return (double)logf(sum) + ((double)largest - target_logit(wanted, all, smoothing, classes));
}

template <typename T, int N>
static __global__ void few_cross_entropy(int n, int classes, const T *logits, const int32_t *labels,
                                         float smoothing, float scale, const step_state *state,
                                         T *dlogits, loss_totals *totals, block_sums *scratch) {
    __shared__ vec<T, wide<T>> shared[FEW_ROWS * FEW / wide<T>];
    T *tile = shared[0].at;
    found_totals found = {0, 0, 0};
    if (state)
        scale *= state->loss_scale;
    for (int64_t first = (int64_t)blockIdx.x * FEW_ROWS; first < n;
         first += (int64_t)gridDim.x * FEW_ROWS) {
        int rows = n - first < FEW_ROWS ? (int)(n - first) : FEW_ROWS;
        copy<T, N>(tile, logits + first * classes, rows * classes);
        __syncthreads();
        if ((int)threadIdx.x < rows) {
            T *row = tile + (int)threadIdx.x * classes;
            int label = labels[first + threadIdx.x];
            bool right;
            if (!dlogits)
                found.among_five += few_place(row, classes, label) < LOSS_PLACES;
            found.loss += few_classes(row, classes, label, smoothing, scale, &right);
            found.correct += right;
        }
        __syncthreads();
        if (dlogits) {
            copy<T, N>(dlogits + first * classes, tile, rows * classes);
            __syncthreads();
        }
    }
    add_to_totals(found, n, !dlogits, state, totals, scratch);
}

// Calls f(class, logit) for this lane's classes of a row, in ascending order.
template <typename T, int N, typename F>
__device__ static inline void for_classes(const T *row, int classes, int lane, int lanes, F f) {
    for (int c = lane * N; c < classes; c += lanes * N) {
        vec<T, N> in = load<N>(row + c);
        for (int k = 0; k < N; k++)
            f(c + k, to_float(in.at[k]));
    }
}

// --- rows of many classes. These are over the group, for each of its lanes; all lanes of the
// warp call.

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

// How many classes come before `label`.
template <typename T, int N>
__device__ static inline int place_of(const T *row, int classes, int lane, int lanes, int label) {
    float wanted = to_float(row[label]);
    int before = 0;
    for_classes<T, N>(row, classes, lane, lanes,
                      [&](int c, float z) { before += comes_before(z, c, wanted, label); });
    for (int offset = lanes / 2; offset > 0; offset /= 2)
        before += __shfl_xor_sync(0xffffffffu, before, offset);
    return before;
}

template <typename T, int N>
__device__ static inline float exponentials(const T *row, int classes, int lane, int lanes,
                                            float largest) {
    float sum = 0;
    for_classes<T, N>(row, classes, lane, lanes, [&](int, float z) { sum += __expf(z - largest); });
    for (int offset = lanes / 2; offset > 0; offset /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    return sum;
}

template <typename T, int N>
__device__ static inline double sum_of(const T *row, int classes, int lane, int lanes) {
    double sum = 0;
    for_classes<T, N>(row, classes, lane, lanes, [&](int, float z) { sum += (double)z; });
    for (int offset = lanes / 2; offset > 0; offset /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    return sum;
}

template <typename T, int N>
__device__ static inline void write_gradient(const T *row, int classes, int lane, int lanes,
                                             float largest, float sum, int label, float smoothing,
                                             float scale, T *gradient) {
    float inverse = 1.0f / sum;
    const target to = target_of(smoothing, classes);
    for (int c = lane * N; c < classes; c += lanes * N) {
        vec<T, N> in = load<N>(row + c), out;
        for (int k = 0; k < N; k++) {
            float probability = __expf(to_float(in.at[k]) - largest) * inverse;
            float wanted = (c + k == label ? to.label : 0.0f) + to.elsewhere;
            out.at[k] = from_float<T>((probability - wanted) * scale);
        }
        store<N>(gradient + c, out);
    }
}

// `lanes`: a power of two, at most 32.
template <typename T, int N>
static __global__ void softmax_cross_entropy(int n, int classes, int lanes, const T *logits,
                                             const int32_t *labels, float smoothing, float scale,
                                             const step_state *state, T *dlogits,
                                             loss_totals *totals, block_sums *scratch) {
    int lane = (int)threadIdx.x & (lanes - 1);
    int64_t rows = THREADS / lanes; // of a block, at once
    found_totals found = {0, 0, 0};
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
        double all = smoothing > 0 ? sum_of<T, N>(z, classes, lane, lanes) : 0;
        int place = dlogits ? 0 : place_of<T, N>(z, classes, lane, lanes, label);
        if (exists && lane == 0) {
            double wanted = target_logit(to_float(z[label]), all, smoothing, classes);
            found.loss += (double)logf(sum) + ((double)largest - wanted);
            found.correct += right;
            found.among_five += !dlogits && place < LOSS_PLACES;
        }
        if (exists && dlogits)
            write_gradient<T, N>(z, classes, lane, lanes, largest, sum, label, smoothing, scale,
                                 dlogits + row * classes);
    }
    add_to_totals(found, n, !dlogits, state, totals, scratch);
}

// Enough that a lane has about one vector, or four classes one by one.
static int lanes_for(int classes, int width) {
    int lanes = 1, share = width > 1 ? width : 4;
    while (lanes < 32 && lanes * share < classes)
        lanes *= 2;
    return lanes;
}

// As many blocks as the GPU runs at once, and the last of them can add up.
static unsigned grid_for(int processors, int blocks_a_processor, int n, int rows_a_block) {
    unsigned blocks = blocks_for((size_t)n, (size_t)rows_a_block);
    unsigned most = (unsigned)(processors * blocks_a_processor);
    most = most < SUMMED_BLOCKS ? most : (unsigned)SUMMED_BLOCKS;
    return blocks < most ? blocks : most;
}

cudaError_t kernel_softmax_cross_entropy(cudaStream_t stream, int processors,
                                         const loss_arguments *a, void *scratch) {
    int n = a->n, classes = a->classes;
    if (n == 0)
        return cudaSuccess;
    return for_type(a->type, [&](auto element) {
        using T = decltype(element);
        bool is_wide = are_aligned(16, a->logits, a->dlogits); // NULL counts as aligned
        if (classes <= FEW) {
            auto kernel = is_wide ? few_cross_entropy<T, wide<T>> : few_cross_entropy<T, 1>;
            return LS_LAUNCH(kernel, grid_for(processors, 12, n, FEW_ROWS), FEW_ROWS, stream, n,
                             classes, (const T *)a->logits, a->labels, a->smoothing,
                             a->gradient_scale, a->state, (T *)a->dlogits, a->totals,
                             (block_sums *)scratch);
        }
        is_wide = is_wide && classes % wide<T> == 0;
        auto kernel = is_wide ? softmax_cross_entropy<T, wide<T>> : softmax_cross_entropy<T, 1>;
        int lanes = lanes_for(classes, is_wide ? wide<T> : 1);
        return LS_LAUNCH(kernel, grid_for(processors, 8, n, THREADS / lanes), THREADS, stream, n,
                         classes, lanes, (const T *)a->logits, a->labels, a->smoothing,
                         a->gradient_scale, a->state, (T *)a->dlogits, a->totals,
                         (block_sums *)scratch);
    });
}
