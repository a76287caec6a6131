// The sums of squares of an array's grains, and the sums of a matrix's columns.
#include "cuda/kernels/block_sum.cuh"
#include "cuda/kernels/vector.cuh"

// --- the sums of squares: a block a grain, four neighbours a thread, however they are read

enum { SQUARE_THREADS = SQUARES_GRAIN / 4 };

// The squares of float are exact in double.
template <int N>
static __global__ void sums_of_squares(const float *values, size_t count, double *out) {
    size_t at = (size_t)blockIdx.x * SQUARES_GRAIN + 4 * threadIdx.x;
    double sum = 0;
    if (N == 4 && at + 4 <= count) {
        vec<float, N> in = load<N>(values + at);
        for (int k = 0; k < N; k++)
            sum += (double)in.at[k] * (double)in.at[k];
    } else {
        for (size_t k = at; k < at + 4 && k < count; k++)
            sum += (double)values[k] * (double)values[k];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        out[blockIdx.x] = sum;
}

cudaError_t kernel_sums_of_squares(cudaStream_t stream, const float *values, size_t count,
                                   double *out) {
    if (!count)
        return cudaSuccess;
    auto kernel = are_aligned(16, values) ? sums_of_squares<4> : sums_of_squares<1>;
    return LS_LAUNCH(kernel, (unsigned)squares_grains(count), SQUARE_THREADS, stream, values, count,
                     out);
}

// --- the sums of columns. A block is a table of threads: 2^log2_across over the columns of its
// tile, N columns each, and the rest of its threads down the rows of its slab. The threads over
// one column are added up in shared memory, the slabs by a second launch of the same kernel.

enum {
    COLUMN_THREADS = 256,
    COLUMN_ROWS = 8,  // rows a thread reads before it adds them
    ACROSS = 32,      // threads across, at most
    ACROSS_SLABS = 8, // over the slabs' sums: few columns a block, since there is no second cut
};

template <typename T, int N>
static __global__ void column_sums(const T *values, size_t rows, int columns, int log2_across,
                                   unsigned tiles, size_t rows_a_slab, float *sums) {
    __shared__ float partial[N][COLUMN_THREADS];
    int across = 1 << log2_across, down = COLUMN_THREADS >> log2_across;
    unsigned slab = blockIdx.x / tiles, tile = blockIdx.x % tiles;
    size_t column = ((size_t)tile * across + (threadIdx.x & (across - 1))) * N;
    size_t end = (slab + 1) * rows_a_slab < rows ? (slab + 1) * rows_a_slab : rows;
    float sum[N] = {};
    if (column < (size_t)columns) {
        size_t row = slab * rows_a_slab + (threadIdx.x >> log2_across);
        for (; row + (COLUMN_ROWS - 1) * (size_t)down < end; row += COLUMN_ROWS * (size_t)down) {
            vec<T, N> in[COLUMN_ROWS];
            for (int r = 0; r < COLUMN_ROWS; r++)
                in[r] = load<N>(values + (row + (size_t)(r * down)) * columns + column);
            for (int r = 0; r < COLUMN_ROWS; r++)
                for (int k = 0; k < N; k++)
                    sum[k] += to_float(in[r].at[k]);
        }
        for (; row < end; row += down) {
            vec<T, N> in = load<N>(values + row * columns + column);
            for (int k = 0; k < N; k++)
                sum[k] += to_float(in.at[k]);
        }
    }
    for (int k = 0; k < N; k++)
        partial[k][threadIdx.x] = sum[k];
    for (int half = down / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < (unsigned)(half << log2_across))
            for (int k = 0; k < N; k++)
                partial[k][threadIdx.x] += partial[k][threadIdx.x + (half << log2_across)];
    }
    if (threadIdx.x < (unsigned)across && column < (size_t)columns)
        for (int k = 0; k < N; k++)
            sums[(size_t)slab * columns + column + k] = partial[k][threadIdx.x];
}

typedef struct column_grid {
    int log2_across;
    unsigned tiles;     // of columns
    size_t slabs;       // of rows
    size_t rows_a_slab; // at most
} column_grid;

// `n` columns a thread, at most `most_across` threads across. Slabs enough for two blocks a
// processor, of at least as many rows as the threads read at once.
static column_grid column_grid_for(int processors, int n, int most_across, size_t rows,
                                   int columns) {
    int vectors = (columns + n - 1) / n;
    column_grid grid = {};
    while ((1 << grid.log2_across) < vectors && (1 << grid.log2_across) < most_across)
        grid.log2_across++;
    size_t down = COLUMN_THREADS >> grid.log2_across;
    grid.tiles = blocks_for((size_t)vectors, (size_t)1 << grid.log2_across);
    size_t wanted = (rows + down * COLUMN_ROWS - 1) / (down * COLUMN_ROWS);
    size_t most = ((size_t)processors * 2 + grid.tiles - 1) / grid.tiles;
    grid.slabs = wanted < most ? wanted : most;
    if (grid.slabs < 1)
        grid.slabs = 1;
    grid.rows_a_slab = (rows + grid.slabs - 1) / grid.slabs;
    return grid;
}

template <typename T> static int columns_a_thread(int columns, const void *values) {
    return columns % wide<T> == 0 && are_aligned(16, values) ? wide<T> : 1;
}

template <typename T>
static cudaError_t launch_columns(cudaStream_t stream, const column_grid *grid, int n,
                                  const void *values, size_t rows, int columns, float *sums) {
    auto kernel = n == 1 ? column_sums<T, 1> : column_sums<T, wide<T>>;
    return LS_LAUNCH(kernel, (unsigned)(grid->tiles * grid->slabs), COLUMN_THREADS, stream,
                     (const T *)values, rows, columns, grid->log2_across, grid->tiles,
                     grid->rows_a_slab, sums);
}

// Enough whatever the alignment: the most slabs that either width makes.
size_t kernel_column_sums_workspace(int processors, dtype type, size_t rows, int columns) {
    int n = 16 / (int)dtype_bytes(type);
    size_t one = column_grid_for(processors, 1, ACROSS, rows, columns).slabs;
    size_t many = column_grid_for(processors, n, ACROSS, rows, columns).slabs;
    size_t slabs = one > many ? one : many;
    return slabs > 1 ? slabs * (size_t)columns * sizeof(float) : 0;
}

cudaError_t kernel_column_sums(cudaStream_t stream, int processors, dtype type, const void *values,
                               size_t rows, int columns, float *sums, void *workspace) {
    if (columns == 0)
        return cudaSuccess;
    return for_type(type, [&](auto element) {
        using T = decltype(element);
        int n = columns_a_thread<T>(columns, values);
        column_grid grid = column_grid_for(processors, n, ACROSS, rows, columns);
        float *target = grid.slabs > 1 ? (float *)workspace : sums;
        cudaError_t status = launch_columns<T>(stream, &grid, n, values, rows, columns, target);
        if (status != cudaSuccess || grid.slabs == 1)
            return status;
        n = columns_a_thread<float>(columns, target);
        column_grid last = column_grid_for(1, n, ACROSS_SLABS, grid.slabs, columns);
        last.slabs = 1;
        last.rows_a_slab = grid.slabs;
        return launch_columns<float>(stream, &last, n, target, grid.slabs, columns, sums);
    });
}
