/* cuBLASLt counts columns first: what is row-major to us is its transpose to cuBLASLt, so it is
 * asked for result^T = right^T x left^T. Our right factor is its A, our left one its B, our columns
 * are the rows of its D: its bias runs along our columns, and sums over B are sums over left. */
#include "product.h"

#include <stdio.h>
#include <stdlib.h>

/* Pointers of activations and packed weights are aligned to 256 bytes; those into the flat arrays
 * of parameters only to an element. Each has its algorithm. */
typedef enum { ALIGNED_16, ALIGNED_ELEMENT, ALIGNMENTS } product_alignment;

typedef struct algorithm {
    bool found;
    cublasLtMatmulAlgo_t choice;
    size_t workspace_bytes;
} algorithm;

struct product {
    cublasLtHandle_t blas;
    product_shape shape;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, d;
    algorithm algorithms[ALIGNMENTS];
    char description[96];
};

enum { ANSWERS = 8 };
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

static int describe_operation(product *self, ls_error *error) {
    static const uint32_t epilogues[] = {[PRODUCT_PLAIN] = CUBLASLT_EPILOGUE_DEFAULT,
                                         [PRODUCT_BIAS] = CUBLASLT_EPILOGUE_BIAS,
                                         [PRODUCT_BIAS_RELU] = CUBLASLT_EPILOGUE_RELU_BIAS,
                                         [PRODUCT_LEFT_SUMS] = CUBLASLT_EPILOGUE_BGRADB};
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
    if (shape->epilogue == PRODUCT_PLAIN)
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

static int describe_matrices(product *self, ls_error *error) {
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

static int ask(product *self, cublasLtMatmulPreference_t preference, algorithm *out,
               ls_error *error) {
    cublasLtMatmulHeuristicResult_t answers[ANSWERS];
    int count = 0;
    cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(self->blas, self->operation, self->a, self->b, self->d,
                                       self->d, preference, ANSWERS, answers, &count);
    if (status != CUBLAS_STATUS_NOT_SUPPORTED)
        BLAS_TRY(status, "choosing the algorithm of a matrix product");
    for (int index = 0; index < count && !out->found; index++)
        if (answers[index].state == CUBLAS_STATUS_SUCCESS)
            *out = (algorithm){.found = true,
                               .choice = answers[index].algo,
                               .workspace_bytes = answers[index].workspaceSize};
    return LS_OK;
}

static int choose(product *self, product_alignment alignment, ls_error *error) {
    bool wide = alignment == ALIGNED_16;
    uint32_t factors = wide ? 16 : (uint32_t)dtype_bytes(self->shape.type);
    uint32_t result = wide ? 16 : (uint32_t)dtype_bytes(self->shape.result_type);
    /* The search reads the alignment off the pointer, no more: this one has no larger one. */
    uintptr_t like = 256 + (wide ? 16 : dtype_bytes(self->shape.result_type));
    if (self->shape.epilogue != PRODUCT_PLAIN)
        LS_TRY(set(self->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &like, sizeof like, error));
    cublasLtMatmulPreference_t preference;
    BLAS_TRY(cublasLtMatmulPreferenceCreate(&preference), "choosing the algorithm of a product");
    int status = limit_search(preference, factors, result, error);
    if (status == LS_OK)
        status = ask(self, preference, &self->algorithms[alignment], error);
    cublasLtMatmulPreferenceDestroy(preference);
    return status;
}

static void describe(product *self, const algorithm *algorithm) {
    int32_t id = -1, splits = 1;
    size_t written;
    cublasLtMatmulAlgoConfigGetAttribute(&algorithm->choice, CUBLASLT_ALGO_CONFIG_ID, &id,
                                         sizeof id, &written);
    cublasLtMatmulAlgoConfigGetAttribute(&algorithm->choice, CUBLASLT_ALGO_CONFIG_SPLITK_NUM,
                                         &splits, sizeof splits, &written);
    snprintf(self->description, sizeof self->description, "algorithm %d, %d split%s", id, splits,
             splits == 1 ? "" : "s");
}

static int no_algorithm(const product_shape *shape, product_alignment alignment, ls_error *error) {
    return ls_fail(error, LS_FAILED,
                   "cuBLASLt has no algorithm for a product [%d, %d] x [%d, %d] of %s with a "
                   "result in %s, aligned to %s",
                   shape->rows, shape->inner, shape->inner, shape->columns, dtype_name(shape->type),
                   dtype_name(shape->result_type),
                   alignment == ALIGNED_16 ? "16 bytes" : "an element");
}

static int prepare(product *self, ls_error *error) {
    LS_TRY(describe_operation(self, error));
    LS_TRY(describe_matrices(self, error));
    LS_TRY(choose(self, ALIGNED_16, error));
    LS_TRY(choose(self, ALIGNED_ELEMENT, error));
    if (!self->algorithms[ALIGNED_16].found && self->shape.epilogue != PRODUCT_LEFT_SUMS)
        return no_algorithm(&self->shape, ALIGNED_16, error);
    if (self->algorithms[ALIGNED_16].found)
        describe(self, &self->algorithms[ALIGNED_16]);
    return LS_OK;
}

int product_create(cuda_device *device, const product_shape *shape, product **out,
                   ls_error *error) {
    product *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->blas = device->blas;
    self->shape = *shape;
    int status = prepare(self, error);
    bool usable = self->algorithms[ALIGNED_16].found &&
                  (self->algorithms[ALIGNED_ELEMENT].found ||
                   shape->epilogue != PRODUCT_LEFT_SUMS); /* the caller has another way */
    *out = status == LS_OK && usable ? self : NULL;
    if (!*out)
        product_destroy(self);
    return status;
}

void product_destroy(product *self) {
    if (!self)
        return;
    if (self->operation)
        cublasLtMatmulDescDestroy(self->operation);
    cublasLtMatrixLayout_t layouts[] = {self->a, self->b, self->d};
    for (int index = 0; index < 3; index++)
        if (layouts[index])
            cublasLtMatrixLayoutDestroy(layouts[index]);
    free(self);
}

size_t product_workspace_bytes(const product *self) {
    size_t aligned = self->algorithms[ALIGNED_16].workspace_bytes;
    size_t element = self->algorithms[ALIGNED_ELEMENT].workspace_bytes;
    return aligned > element ? aligned : element;
}

const char *product_describe(const product *self) {
    return self->description;
}

int product_run(product *self, device_stream *stream, const void *left, const void *right,
                void *result, void *vector, void *workspace, ls_error *error) {
    static const float one = 1.0f, zero = 0.0f;
    uintptr_t low_bits = (uintptr_t)left | (uintptr_t)right | (uintptr_t)result | (uintptr_t)vector;
    product_alignment alignment = low_bits % 16 == 0 ? ALIGNED_16 : ALIGNED_ELEMENT;
    const algorithm *algorithm = &self->algorithms[alignment];
    if (!algorithm->found)
        return no_algorithm(&self->shape, alignment, error);
    if (self->shape.epilogue != PRODUCT_PLAIN)
        LS_TRY(
            set(self->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &vector, sizeof vector, error));
    BLAS_TRY(cublasLtMatmul(self->blas, self->operation, &one, right, self->a, left, self->b, &zero,
                            result, self->d, result, self->d, &algorithm->choice, workspace,
                            algorithm->workspace_bytes, cuda_stream(stream)),
             "a matrix product");
    return LS_OK;
}
