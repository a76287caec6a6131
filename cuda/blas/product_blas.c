/* cuBLASLt counts columns first: what is row-major to us is its transpose to cuBLASLt, so it is
 * asked for result^T = right^T x left^T. Our right factor is its A, our left one its B, our columns
 * are the rows of its D: its bias runs along our columns, and sums over B are sums over left. */
#include "cuda/blas/product_blas.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* NVIDIA's advice for Hopper; only what the chosen algorithm needs is allocated. */
static const uint64_t WORKSPACE_LIMIT = 32u << 20;

static cudaDataType_t blas_type(dtype type) {
    return type == DTYPE_BF16 ? CUDA_R_16BF : type == DTYPE_F16 ? CUDA_R_16F : CUDA_R_32F;
}

static int blas_failed(cublasStatus_t status, const char *what, ls_error *error) {
    return ls_fail(error, LS_FAILED, "%s: cuBLASLt: %s (%s)", what, cublasLtGetStatusString(status),
                   cublasLtGetStatusName(status));
}

#define BLAS_TRY(call, what)                                                                       \
    do {                                                                                           \
        cublasStatus_t blas_status_ = (call);                                                      \
        if (blas_status_ != CUBLAS_STATUS_SUCCESS)                                                 \
            return blas_failed(blas_status_, what, error);                                         \
    } while (0)

static int set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute,
               const void *value, size_t bytes, ls_error *error) {
    BLAS_TRY(cublasLtMatmulDescSetAttribute(operation, attribute, value, bytes),
             "describing a matrix product");
    return LS_OK;
}

static bool has_bits(const product_shape *shape) {
    return shape->epilogue == PRODUCT_BIAS_RELU_BITS || shape->epilogue == PRODUCT_MASK;
}

static bool has_vector(const product_shape *shape) {
    return shape->epilogue != PRODUCT_PLAIN && shape->epilogue != PRODUCT_MASK;
}

static int describe_operation(blas_product *self, ls_error *error) {
    static const uint32_t epilogues[] = {[PRODUCT_PLAIN] = CUBLASLT_EPILOGUE_DEFAULT,
                                         [PRODUCT_BIAS] = CUBLASLT_EPILOGUE_BIAS,
                                         [PRODUCT_BIAS_RELU] = CUBLASLT_EPILOGUE_RELU_BIAS,
                                         [PRODUCT_LEFT_SUMS] = CUBLASLT_EPILOGUE_BGRADB,
                                         [PRODUCT_BIAS_RELU_BITS] = CUBLASLT_EPILOGUE_RELU_AUX_BIAS,
                                         [PRODUCT_MASK] = CUBLASLT_EPILOGUE_DRELU};
    const product_shape *shape = &self->shape;
    int32_t op_a = shape->right_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    int32_t op_b = shape->left_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    int32_t vector_type = blas_type(shape->result_type);
    BLAS_TRY(cublasLtMatmulDescCreate(
                 &self->operation, shape->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                 CUDA_R_32F),
             "describing a matrix product");
    LS_TRY(set(self->operation, CUBLASLT_MATMUL_DESC_TRANSA, &op_a, sizeof op_a, error));
    LS_TRY(set(self->operation, CUBLASLT_MATMUL_DESC_TRANSB, &op_b, sizeof op_b, error));
    LS_TRY(set(self->operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogues[shape->epilogue],
               sizeof epilogues[0], error));
    if (has_bits(shape)) {
        int64_t stride = product_bits_stride(shape->columns);
        LS_TRY(set(self->operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &stride, sizeof stride,
                   error));
    }
    if (!has_vector(shape))
        return LS_OK;
    return set(self->operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &vector_type,
               sizeof vector_type, error);
}

/* A dense row-major matrix as cuBLASLt sees it. */
static int describe_matrix(cublasLtMatrixLayout_t *out, dtype type, int rows, int columns,
                           ls_error *error) {
    BLAS_TRY(cublasLtMatrixLayoutCreate(out, blas_type(type), (uint64_t)columns, (uint64_t)rows,
                                        columns),
             "describing a matrix");
    return LS_OK;
}

static int describe_matrices(blas_product *self, ls_error *error) {
    const product_shape *shape = &self->shape;
    bool left = shape->left_transposed, right = shape->right_transposed;
    LS_TRY(describe_matrix(&self->a, shape->type, right ? shape->columns : shape->inner,
                           right ? shape->inner : shape->columns, error));
    LS_TRY(describe_matrix(&self->b, shape->type, left ? shape->inner : shape->rows,
                           left ? shape->rows : shape->inner, error));
    return describe_matrix(&self->d, shape->result_type, shape->rows, shape->columns, error);
}

static int limit_search(cublasLtMatmulPreference_t preference, uint32_t alignment,
                        uint32_t alignment_d, ls_error *error) {
    uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        const void *value;
        size_t bytes;
    } limits[] = {
        {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE_LIMIT, sizeof WORKSPACE_LIMIT},
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction, sizeof reduction},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &alignment, sizeof alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &alignment, sizeof alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &alignment_d, sizeof alignment_d},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &alignment_d, sizeof alignment_d}};
    for (size_t index = 0; index < sizeof limits / sizeof limits[0]; index++)
        BLAS_TRY(cublasLtMatmulPreferenceSetAttribute(preference, limits[index].attribute,
                                                      limits[index].value, limits[index].bytes),
                 "limiting the algorithms of a matrix product");
    return LS_OK;
}

int blas_product_describe(const product_shape *shape, blas_product *out, ls_error *error) {
    *out = (blas_product){.shape = *shape};
    LS_TRY(describe_operation(out, error));
    return describe_matrices(out, error);
}

void blas_product_destroy(blas_product *self) {
    if (self->operation)
        cublasLtMatmulDescDestroy(self->operation);
    cublasLtMatrixLayout_t layouts[] = {self->a, self->b, self->d};
    for (int index = 0; index < 3; index++)
        if (layouts[index])
            cublasLtMatrixLayoutDestroy(layouts[index]);
    *self = (blas_product){0};
}

static int no_algorithm(const product_shape *shape, bool wide, ls_error *error) {
    return ls_fail(error, LS_FAILED,
                   "cuBLASLt has no algorithm for a product [%d, %d] x [%d, %d] of %s with a "
                   "result in %s, aligned to %s",
                   shape->rows, shape->inner, shape->inner, shape->columns, dtype_name(shape->type),
                   dtype_name(shape->result_type), wide ? "16 bytes" : "an element");
}

static int answers_of(const blas_product *self, cublasLtHandle_t handle,
                      cublasLtMatmulPreference_t preference,
                      blas_algorithm_choice out[BLAS_ANSWERS], int *count, ls_error *error) {
    cublasLtMatmulHeuristicResult_t answers[BLAS_ANSWERS];
    int answered = 0;
    BLAS_TRY(cublasLtMatmulAlgoGetHeuristic(handle, self->operation, self->a, self->b, self->d,
                                            self->d, preference, BLAS_ANSWERS, answers, &answered),
             "choosing the algorithm of a matrix product");
    for (int index = 0; index < answered && index < BLAS_ANSWERS; index++)
        if (answers[index].state == CUBLAS_STATUS_SUCCESS)
            out[(*count)++] =
                (blas_algorithm_choice){answers[index].algo, answers[index].workspaceSize};
    return LS_OK;
}

int blas_product_ask(const blas_product *self, cublasLtHandle_t handle, bool wide,
                     blas_algorithm_choice out[BLAS_ANSWERS], int *count, ls_error *error) {
    uint32_t factors = wide ? 16 : (uint32_t)dtype_bytes(self->shape.type);
    uint32_t result = wide ? 16 : (uint32_t)dtype_bytes(self->shape.result_type);
    /* The search reads the alignment off the pointer, no more: this one has no larger one. */
    uintptr_t like = 256 + (wide ? 16 : dtype_bytes(self->shape.result_type));
    const uintptr_t aligned = 256; /* memory of an activation's own */
    cublasLtMatmulPreference_t preference;
    *count = 0;
    if (has_vector(&self->shape))
        LS_TRY(set(self->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &like, sizeof like, error));
    if (has_bits(&self->shape))
        LS_TRY(set(self->operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &aligned,
                   sizeof aligned, error));
    BLAS_TRY(cublasLtMatmulPreferenceCreate(&preference), "choosing the algorithm of a product");
    int status = limit_search(preference, factors, result, error);
    if (status == LS_OK)
        status = answers_of(self, handle, preference, out, count, error);
    cublasLtMatmulPreferenceDestroy(preference);
    return status == LS_OK && *count == 0 ? no_algorithm(&self->shape, wide, error) : status;
}

int blas_product_run(const blas_product *self, cublasLtHandle_t handle, cudaStream_t stream,
                     const blas_algorithm_choice *choice, const void *left, const void *right,
                     void *result, void *vector, const void *bits, void *workspace,
                     ls_error *error) {
    static const float one = 1.0f, zero = 0.0f;
    if (has_bits(&self->shape))
        LS_TRY(set(self->operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &bits, sizeof bits,
                   error));
    if (has_vector(&self->shape))
        LS_TRY(
            set(self->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &vector, sizeof vector, error));
    BLAS_TRY(cublasLtMatmul(handle, self->operation, &one, right, self->a, left, self->b, &zero,
                            result, self->d, result, self->d, &choice->algorithm,
                            choice->workspace_bytes ? workspace : NULL, choice->workspace_bytes,
                            stream),
             "a matrix product");
    return LS_OK;
}

/* -1: the algorithm has no such attribute. */
static int64_t attribute_of(const blas_algorithm_choice *choice,
                            cublasLtMatmulAlgoConfigAttributes_t attribute, size_t bytes) {
    uint32_t wide = 0;
    uint16_t narrow = 0;
    size_t written;
    void *value = bytes == sizeof narrow ? (void *)&narrow : &wide;
    if (cublasLtMatmulAlgoConfigGetAttribute(&choice->algorithm, attribute, value, bytes,
                                             &written) != CUBLAS_STATUS_SUCCESS)
        return -1;
    return bytes == sizeof narrow ? narrow : wide;
}

void blas_algorithm_write(const blas_algorithm_choice *choice, text_buffer *to) {
    static const struct {
        cublasLtMatmulAlgoConfigAttributes_t attribute;
        size_t bytes;
    } parts[] = {
        {CUBLASLT_ALGO_CONFIG_TILE_ID, 4},          {CUBLASLT_ALGO_CONFIG_SPLITK_NUM, 4},
        {CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, 4}, {CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, 4},
        {CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, 4},    {CUBLASLT_ALGO_CONFIG_STAGES_ID, 4},
        {CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, 2},   {CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, 2}};
    text_add(to, "%" PRId64, attribute_of(choice, CUBLASLT_ALGO_CONFIG_ID, 4));
    for (size_t index = 0; index < sizeof parts / sizeof parts[0]; index++) {
        int64_t value = attribute_of(choice, parts[index].attribute, parts[index].bytes);
        if (value >= 0)
            text_add(to, " %d=%" PRId64, (int)parts[index].attribute, value);
    }
}

void blas_algorithm_describe(const blas_algorithm_choice *choice, char *out, size_t capacity) {
    text_buffer text = {0};
    int64_t splits = attribute_of(choice, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, 4);
    blas_algorithm_write(choice, &text);
    const char *bytes = text.bytes ? text.bytes : "";
    snprintf(out, capacity, "algorithm %.*s.%08" PRIx32 ", %" PRId64 " split%s",
             (int)strcspn(bytes, " "), bytes,
             (uint32_t)hash_bytes(HASH_START, bytes, strlen(bytes)), splits,
             splits == 1 ? "" : "s");
    text_free(&text);
}
