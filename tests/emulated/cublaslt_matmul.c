/* The product itself: every argument is checked against what the algorithm was chosen for, then
 * work is put into the stream that sums in double and rounds once. What the real library's
 * algorithms do differently (the order of sums, sums in fp32) is not shown. */
#include "base/float16.h"
#include "cublaslt.h"
#include "hot.h"
#include "refusals.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct matrix {
    const void *at;
    blas_layout layout;
    bool transposed;
} matrix;

typedef struct product_work {
    matrix a, b;
    void *result, *vector, *workspace;
    void *bits; /* element (row, column) of D: bit column * bits_leading + row; else NULL */
    int64_t bits_leading;
    blas_layout d;
    blas_extents extents;
    uint32_t epilogue;
    size_t workspace_bytes;
    bool tf32;
} product_work;

unsigned blas_alignment(const void *pointer) {
    unsigned alignment = 256;
    while (alignment > 1 && (uintptr_t)pointer % alignment != 0)
        alignment /= 2;
    return alignment;
}

static size_t element_bytes(cudaDataType_t type) {
    return type == CUDA_R_32F ? 4 : 2;
}

static size_t span_bytes(const blas_layout *layout) {
    return ((size_t)layout->leading * (layout->columns - 1) + layout->rows) *
           element_bytes(layout->type);
}

/* The rows of "cublasLtMatmul() supported data types" with sums in fp32 that the program uses. */
static bool supported_types(const blas_operation *operation, cudaDataType_t a, cudaDataType_t b,
                            cudaDataType_t d) {
    if (operation->scale_type != CUDA_R_32F || a != b)
        return false;
    if (operation->compute == CUBLAS_COMPUTE_32F_FAST_TF32)
        return a == CUDA_R_32F && d == CUDA_R_32F;
    if (operation->compute != CUBLAS_COMPUTE_32F)
        return false;
    if (a == CUDA_R_16BF || a == CUDA_R_16F)
        return d == a || d == CUDA_R_32F;
    return a == CUDA_R_32F && d == CUDA_R_32F;
}

/* Bias gradients by the epilogue are what differs most between versions and GPUs: here only
 * sm_90 has them, so that both of the program's ways are run (LOCKSTEP_EMULATED_CAPABILITY). */
static bool supported_epilogue(uint32_t epilogue) {
    switch (epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_RELU_BIAS:
    case CUBLASLT_EPILOGUE_RELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DRELU:
        return true;
    case CUBLASLT_EPILOGUE_BGRADB:
        return emulated_capability() >= 90;
    default:
        return false;
    }
}

static bool has_bits(uint32_t epilogue) {
    return epilogue == CUBLASLT_EPILOGUE_RELU_AUX_BIAS || epilogue == CUBLASLT_EPILOGUE_DRELU;
}

static bool has_vector(uint32_t epilogue) {
    return epilogue != CUBLASLT_EPILOGUE_DEFAULT && epilogue != CUBLASLT_EPILOGUE_DRELU;
}

static bool same_layout(const blas_layout *one, const blas_layout *other) {
    return one->type == other->type && one->rows == other->rows && one->columns == other->columns &&
           one->leading == other->leading;
}

cublasStatus_t blas_check_problem(const blas_operation *operation, const blas_layout *a,
                                  const blas_layout *b, const blas_layout *c, const blas_layout *d,
                                  blas_extents *out) {
    bool ta = operation->transpose_a == CUBLAS_OP_T, tb = operation->transpose_b == CUBLAS_OP_T;
    uint64_t k = tb ? b->columns : b->rows;
    *out = (blas_extents){.m = d->rows, .n = d->columns, .k = ta ? a->rows : a->columns};
    if ((ta ? a->columns : a->rows) != out->m || (tb ? b->rows : b->columns) != out->n ||
        k != out->k)
        emulated_violation("cublasLt: the layouts do not fit: A %llu x %llu%s, B %llu x %llu%s, D "
                           "%llu x %llu",
                           (unsigned long long)a->rows, (unsigned long long)a->columns,
                           ta ? " transposed" : "", (unsigned long long)b->rows,
                           (unsigned long long)b->columns, tb ? " transposed" : "",
                           (unsigned long long)d->rows, (unsigned long long)d->columns);
    if (!same_layout(c, d))
        emulated_violation("cublasLt: C and D have different layouts");
    if (!supported_types(operation, a->type, b->type, d->type) ||
        !supported_epilogue(operation->epilogue))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (has_bits(operation->epilogue) &&
        (operation->aux_leading % 128 || operation->aux_leading < (int64_t)d->rows))
        emulated_violation("cublasLt: the leading dimension of a ReLU's bits is %lld for %llu rows",
                           (long long)operation->aux_leading, (unsigned long long)d->rows);
    if (has_vector(operation->epilogue) && operation->vector_type != -1 &&
        operation->vector_type != (int32_t)d->type)
        return CUBLAS_STATUS_NOT_SUPPORTED; /* "the same type as the elements of output matrix" */
    return CUBLAS_STATUS_SUCCESS;
}

/* FNV-1a. */
static uint64_t mix(uint64_t hash, uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8)
        hash = (hash ^ ((value >> shift) & 255)) * UINT64_C(1099511628211);
    return hash;
}

uint64_t blas_shape_hash(const blas_operation *operation, const blas_layout *a,
                         const blas_layout *b, const blas_layout *d) {
    uint64_t hash = UINT64_C(14695981039346656037);
    const uint64_t values[] = {operation->compute, (uint64_t)operation->transpose_a,
                               (uint64_t)operation->transpose_b, operation->epilogue};
    for (size_t index = 0; index < sizeof values / sizeof values[0]; index++)
        hash = mix(hash, values[index]);
    const blas_layout *layouts[] = {a, b, d};
    for (int index = 0; index < 3; index++) {
        hash = mix(hash, layouts[index]->type);
        hash = mix(hash, layouts[index]->rows);
        hash = mix(hash, layouts[index]->columns);
        hash = mix(hash, (uint64_t)layouts[index]->leading);
    }
    return hash;
}

static double value_of(cudaDataType_t type, const void *base, size_t index) {
    if (type == CUDA_R_32F)
        return (double)((const float *)base)[index];
    if (type == CUDA_R_16F)
        return (double)fp16_to_float(((const uint16_t *)base)[index]);
    uint32_t bits = (uint32_t)((const uint16_t *)base)[index] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

/* To nearest even in the leading `kept` bits of a float's 23. */
static float rounded(float value, int kept) {
    uint32_t bits, below = 1u << (23 - kept);
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7f800000u) != 0x7f800000u)
        bits += below / 2 - 1 + ((bits & below) != 0);
    bits &= ~(below - 1);
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void put(cudaDataType_t type, void *base, size_t index, double exact) {
    float value = (float)exact;
    uint32_t bits;
    if (type == CUDA_R_32F) {
        ((float *)base)[index] = value;
    } else if (type == CUDA_R_16F) {
        ((uint16_t *)base)[index] = fp16_of_float(value);
    } else {
        value = rounded(value, 7);
        memcpy(&bits, &value, sizeof bits);
        ((uint16_t *)base)[index] = (uint16_t)(bits >> 16);
    }
}

/* Kept from product to product, which run one at a time: pages that the kernel hands out anew cost
 * more than small products. */
enum { A, B, SUMS, SCRATCHES };

static double *scratch(int which, uint64_t count) {
    static double *kept[SCRATCHES];
    static uint64_t room[SCRATCHES];
    if (room[which] < count) {
        free(kept[which]);
        kept[which] = malloc(count * sizeof *kept[which]);
        room[which] = count;
    }
    if (!kept[which])
        abort();
    return kept[which];
}

/* op(matrix) as doubles, [columns, rows]. */
static void unpack(const matrix *self, uint64_t rows, uint64_t columns, bool tf32, double *out) {
    uint64_t leading = (uint64_t)self->layout.leading;
    for (uint64_t column = 0; column < columns; column++)
        for (uint64_t row = 0; row < rows; row++) {
            uint64_t at = self->transposed ? row * leading + column : column * leading + row;
            double value = value_of(self->layout.type, self->at, at);
            *out++ = tf32 ? (double)rounded((float)value, 10) : value;
        }
}

enum { ROWS = 4, LANES = 4, COLUMNS = 2 * LANES };
typedef double lanes __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double))));

/* sums[n, m] = b[n, k] x a[k, m], each added up in the order of k: four rows and eight columns at a
 * time, whose sums stay in registers. */
WIDE static void multiply(const double *a, const double *b, double *restrict sums,
                          const blas_extents *extents) {
    uint64_t m = extents->m, n = extents->n, k = extents->k;
    uint64_t whole = n / ROWS * ROWS, wide = m / COLUMNS * COLUMNS;
    for (uint64_t column = 0; column < wide; column += COLUMNS)
        for (uint64_t row = 0; row < whole; row += ROWS) {
            lanes left[ROWS] = {{0}}, right[ROWS] = {{0}};
            for (uint64_t inner = 0; inner < k; inner++) {
                const lanes *from = (const lanes *)&a[inner * m + column];
                for (int each = 0; each < ROWS; each++) {
                    double factor = b[(row + (uint64_t)each) * k + inner];
                    left[each] += factor * from[0];
                    right[each] += factor * from[1];
                }
            }
            for (int each = 0; each < ROWS; each++) {
                lanes *to = (lanes *)&sums[(row + (uint64_t)each) * m + column];
                to[0] = left[each];
                to[1] = right[each];
            }
        }
    /* What is left of both: the last columns of all rows, and the last rows. */
    for (uint64_t row = 0; row < n; row++)
        for (uint64_t inner = 0; inner < k; inner++)
            for (uint64_t column = row < whole ? wide : 0; column < m; column++)
                sums[row * m + column] += b[row * k + inner] * a[inner * m + column];
}

/* Timing runs on zeros, many times: what they make needs no sums. */
static bool is_zero(const matrix *self) {
    const char *bytes = self->at;
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, span_bytes(&self->layout) - 1) == 0;
}

/* Inverted: nobody but the library knows what a bit means. */
static bool bit_of(const product_work *self, uint64_t row, uint64_t column) {
    uint64_t at = row * (uint64_t)self->bits_leading + column;
    return !(((const uint8_t *)self->bits)[at / 8] >> (7 - at % 8) & 1);
}

static void put_bit(const product_work *self, uint64_t row, uint64_t column, bool value) {
    uint64_t at = row * (uint64_t)self->bits_leading + column;
    uint8_t *byte = &((uint8_t *)self->bits)[at / 8], mask = (uint8_t)(1u << (7 - at % 8));
    *byte = (uint8_t)(value ? *byte & ~mask : *byte | mask);
}

static void finish(const product_work *self, const double *sums) {
    const blas_extents *extents = &self->extents;
    bool bias = self->epilogue & CUBLASLT_EPILOGUE_BIAS;
    bool relu = self->epilogue & CUBLASLT_EPILOGUE_RELU;
    bool masks = self->epilogue == CUBLASLT_EPILOGUE_DRELU;
    for (uint64_t row = 0; row < extents->n; row++)
        for (uint64_t column = 0; column < extents->m; column++) {
            double value = sums[row * extents->m + column];
            if (bias)
                value += value_of(self->d.type, self->vector, column);
            if (relu && self->bits)
                put_bit(self, row, column, value > 0);
            if ((relu && value < 0) || (masks && !bit_of(self, row, column)))
                value = 0;
            put(self->d.type, self->result, row * (uint64_t)self->d.leading + column, value);
        }
}

static void sum_over_b(const product_work *self, const double *b) {
    for (uint64_t row = 0; row < self->extents.n; row++) {
        double sum = 0;
        for (uint64_t inner = 0; inner < self->extents.k; inner++)
            sum += b[row * self->extents.k + inner];
        put(self->d.type, self->vector, row, sum);
    }
}

static size_t vector_bytes(const product_work *self) {
    if (!has_vector(self->epilogue))
        return 0;
    bool gradient = self->epilogue == CUBLASLT_EPILOGUE_BGRADB;
    return (gradient ? self->extents.n : self->extents.m) * element_bytes(self->d.type);
}

static void check_memory(const product_work *self) {
    emulated_check_device(self->a.at, span_bytes(&self->a.layout), "cublasLt: A");
    emulated_check_device(self->b.at, span_bytes(&self->b.layout), "cublasLt: B");
    emulated_check_device(self->result, span_bytes(&self->d), "cublasLt: D");
    emulated_check_device(self->vector, vector_bytes(self), "cublasLt: bias or its gradient");
    emulated_check_device(self->workspace, self->workspace_bytes, "cublasLt: workspace");
    if (has_bits(self->epilogue))
        emulated_check_device(self->bits, (size_t)self->bits_leading / 8 * self->extents.n,
                              "cublasLt: a ReLU's bits");
}

static emulated_progress run(void *context) {
    const product_work *self = context;
    const blas_extents *extents = &self->extents;
    check_memory(self);
    if (self->workspace_bytes)
        memset(self->workspace, 0xff, self->workspace_bytes); /* it is the library's to write to */
    bool zeros = is_zero(&self->a) && is_zero(&self->b);
    double *b = scratch(B, extents->k * extents->n), *sums = scratch(SUMS, extents->m * extents->n);
    memset(sums, 0, extents->m * extents->n * sizeof *sums);
    if (zeros) {
        memset(b, 0, extents->k * extents->n * sizeof *b);
    } else {
        double *a = scratch(A, extents->m * extents->k);
        unpack(&self->a, extents->m, extents->k, self->tf32, a);
        unpack(&self->b, extents->k, extents->n, self->tf32, b);
        multiply(a, b, sums, extents);
    }
    finish(self, sums);
    if (self->epilogue == CUBLASLT_EPILOGUE_BGRADB)
        sum_over_b(self, b);
    return EMULATED_DONE;
}

static void check_alignment(const void *pointer, unsigned chosen_for, const char *what) {
    if (blas_alignment(pointer) < chosen_for)
        emulated_violation("cublasLt: %s is aligned to %u bytes, the algorithm was chosen for %u",
                           what, blas_alignment(pointer), chosen_for);
}

static void check_algorithm(const blas_algorithm *algorithm, const product_work *work,
                            uint64_t shape) {
    if (algorithm->signature != BLAS_SIGNATURE || algorithm->shape != shape)
        emulated_violation("cublasLt: the algorithm was chosen for another product");
    if (algorithm->reduction == CUBLASLT_REDUCTION_SCHEME_INPLACE)
        emulated_violation("cublasLt: the algorithm adds in place: two runs may differ in bits");
    check_alignment(work->a.at, algorithm->alignment_a, "A");
    check_alignment(work->b.at, algorithm->alignment_b, "B");
    check_alignment(work->result, algorithm->alignment_d, "D");
    if (has_bits(work->epilogue))
        check_alignment(work->bits, 16, "a ReLU's bits");
    if (has_vector(work->epilogue))
        check_alignment(work->vector, algorithm->alignment_vector, "the bias or its gradient");
    if (work->workspace_bytes < algorithm->workspace_bytes)
        emulated_violation("cublasLt: the algorithm needs %u bytes of workspace, found %zu",
                           algorithm->workspace_bytes, work->workspace_bytes);
    if (work->workspace_bytes)
        check_alignment(work->workspace, 256, "the workspace");
}

static const char *label_of(uint32_t epilogue) {
    switch (epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
        return "cuBLASLt product";
    case CUBLASLT_EPILOGUE_BGRADB:
        return "cuBLASLt product+sums";
    case CUBLASLT_EPILOGUE_RELU_AUX_BIAS:
        return "cuBLASLt product+bias+bits";
    case CUBLASLT_EPILOGUE_DRELU:
        return "cuBLASLt product+mask";
    default:
        return "cuBLASLt product+bias";
    }
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t computeDesc,
                              const void *alpha, const void *A, cublasLtMatrixLayout_t Adesc,
                              const void *B, cublasLtMatrixLayout_t Bdesc, const void *beta,
                              const void *C, cublasLtMatrixLayout_t Cdesc, void *D,
                              cublasLtMatrixLayout_t Ddesc, const cublasLtMatmulAlgo_t *algo,
                              void *workspace, size_t workspaceSizeInBytes, cudaStream_t stream) {
    const blas_operation *operation = (blas_operation *)computeDesc;
    const blas_layout *a = (blas_layout *)Adesc, *b = (blas_layout *)Bdesc,
                      *c = (blas_layout *)Cdesc, *d = (blas_layout *)Ddesc;
    blas_extents extents;
    blas_algorithm algorithm;
    if (!lightHandle || !algo)
        emulated_violation("cublasLtMatmul: expected a handle and a chosen algorithm");
    if (*(const float *)alpha != 1.0f || *(const float *)beta != 0.0f || C != D)
        emulated_violation("cublasLtMatmul: the stand-in computes D = A x B only");
    emulated_check_stream(stream, "cublasLtMatmul");
    int refused;
    if (emulated_is_refused(BLAS_RUN, CUBLAS_STATUS_NOT_SUPPORTED, &refused))
        return (cublasStatus_t)refused;
    cublasStatus_t status = blas_check_problem(operation, a, b, c, d, &extents);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    product_work work = {.a = {A, *a, operation->transpose_a == CUBLAS_OP_T},
                         .b = {B, *b, operation->transpose_b == CUBLAS_OP_T},
                         .result = D,
                         .vector = operation->vector,
                         .workspace = workspace,
                         .bits = has_bits(operation->epilogue) ? operation->aux : NULL,
                         .bits_leading = operation->aux_leading,
                         .d = *d,
                         .extents = extents,
                         .epilogue = operation->epilogue,
                         .workspace_bytes = workspaceSizeInBytes,
                         .tf32 = operation->compute == CUBLAS_COMPUTE_32F_FAST_TF32};
    memcpy(&algorithm, algo, sizeof algorithm);
    check_algorithm(&algorithm, &work, blas_shape_hash(operation, a, b, d));
    check_memory(&work);
    cudaError_t put = emulated_enqueue(stream, run, &work, sizeof work, label_of(work.epilogue));
    return put == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
