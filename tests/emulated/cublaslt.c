/* cuBLASLt's stand-in: descriptors and the choice of algorithms, compiled against the real header.
 * It has the entry points that the program uses, refuses what the documentation forbids, and
 * offers what a careless caller would stumble over: an algorithm that adds in place first, where
 * the caller did not rule it out. cublaslt_matmul.c computes. */
#include "cublaslt.h"
#include "refusals.h"

#include <stdlib.h>
#include <string.h>

static void *make(size_t bytes, const void *content, const char *what) {
    void *made = malloc(bytes);
    if (!made)
        abort();
    memcpy(made, content, bytes);
    emulated_count(what, 1);
    return made;
}

static cublasStatus_t end(void *object, const char *what) {
    if (!object)
        emulated_violation("cublasLt: a %s that is NULL is destroyed", what);
    emulated_count(what, -1);
    free(object);
    return CUBLAS_STATUS_SUCCESS;
}

/* Leaves the function with the status, where the test wants this call refused. */
#define MAY_REFUSE(kind)                                                                           \
    do {                                                                                           \
        int refused_;                                                                              \
        if (emulated_is_refused((kind), CUBLAS_STATUS_NOT_SUPPORTED, &refused_))                   \
            return (cublasStatus_t)refused_;                                                       \
    } while (0)

/* A copy of an attribute's value, whose size the documentation fixes. */
static void take(void *to, size_t expected, const void *from, size_t bytes, const char *what) {
    if (bytes != expected || !from)
        emulated_violation("cublasLt: %s: expected %zu bytes, found %zu", what, expected, bytes);
    memcpy(to, from, bytes);
}
#define TAKE(member) take(&self->member, sizeof self->member, buf, sizeInBytes, #member)

cublasStatus_t cublasLtCreate(cublasLtHandle_t *lightHandle) {
    static const char name[] = "emulated";
    *lightHandle = make(sizeof name, name, "cublasLtHandle_t");
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t lightHandle) {
    return end(lightHandle, "cublasLtHandle_t");
}

size_t cublasLtGetVersion(void) {
    return CUBLAS_VERSION;
}

size_t cublasLtGetCudartVersion(void) {
    return CUDART_VERSION;
}

const char *cublasLtGetStatusName(cublasStatus_t status) {
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "CUBLAS_STATUS_EXECUTION_FAILED";
    default:
        return "CUBLAS_STATUS (emulated)";
    }
}

const char *cublasLtGetStatusString(cublasStatus_t status) {
    return cublasLtGetStatusName(status);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *matLayout, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld) {
    MAY_REFUSE(BLAS_DESCRIBE);
    if (rows == 0 || cols == 0 || ld < (int64_t)rows)
        emulated_violation("cublasLt: a matrix of %llu x %llu with leading dimension %lld",
                           (unsigned long long)rows, (unsigned long long)cols, (long long)ld);
    blas_layout layout = {.type = type, .rows = rows, .columns = cols, .leading = ld};
    *matLayout = make(sizeof layout, &layout, "cublasLtMatrixLayout_t");
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matLayout) {
    return end(matLayout, "cublasLtMatrixLayout_t");
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *matmulDesc,
                                        cublasComputeType_t computeType, cudaDataType_t scaleType) {
    MAY_REFUSE(BLAS_DESCRIBE);
    blas_operation operation = {.compute = computeType,
                                .scale_type = scaleType,
                                .transpose_a = CUBLAS_OP_N,
                                .transpose_b = CUBLAS_OP_N,
                                .epilogue = CUBLASLT_EPILOGUE_DEFAULT,
                                .vector_type = -1};
    *matmulDesc = make(sizeof operation, &operation, "cublasLtMatmulDesc_t");
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t matmulDesc) {
    return end(matmulDesc, "cublasLtMatmulDesc_t");
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t matmulDesc,
                                              cublasLtMatmulDescAttributes_t attr, const void *buf,
                                              size_t sizeInBytes) {
    blas_operation *self = (blas_operation *)matmulDesc;
    MAY_REFUSE(BLAS_DESCRIBE);
    switch (attr) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        TAKE(transpose_a);
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_DESC_TRANSB:
        TAKE(transpose_b);
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        TAKE(epilogue);
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        TAKE(vector);
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        TAKE(vector_type);
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
        TAKE(aux);
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
        TAKE(aux_leading);
        return CUBLAS_STATUS_SUCCESS;
    default:
        emulated_violation("cublasLt: the stand-in has no attribute %d of an operation", (int)attr);
    }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *pref) {
    MAY_REFUSE(BLAS_DESCRIBE);
    blas_preference preference = {.reduction_mask = CUBLASLT_REDUCTION_SCHEME_MASK,
                                  .alignment_a = 256,
                                  .alignment_b = 256,
                                  .alignment_c = 256,
                                  .alignment_d = 256};
    *pref = make(sizeof preference, &preference, "cublasLtMatmulPreference_t");
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t pref) {
    return end(pref, "cublasLtMatmulPreference_t");
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref,
                                                    cublasLtMatmulPreferenceAttributes_t attr,
                                                    const void *buf, size_t sizeInBytes) {
    blas_preference *self = (blas_preference *)pref;
    MAY_REFUSE(BLAS_DESCRIBE);
    switch (attr) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        TAKE(workspace_limit);
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
        TAKE(reduction_mask);
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
        TAKE(alignment_a);
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
        TAKE(alignment_b);
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
        TAKE(alignment_c);
        return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        TAKE(alignment_d);
        return CUBLAS_STATUS_SUCCESS;
    default:
        emulated_violation("cublasLt: the stand-in has no attribute %d of a preference", (int)attr);
    }
}

enum { ANSWERS = 3 };

/* A long inner dimension under a small result is split, where the caller gives the workspace and
 * the way to add the parts up. The first answer adds in place where that is allowed. */
static void split(blas_algorithm *algorithm, const blas_extents *extents,
                  const blas_preference *preference) {
    uint64_t bytes = 4 * extents->m * extents->n * sizeof(float);
    if (extents->k < 256 || extents->m * extents->n > 65536 || bytes > preference->workspace_limit)
        return;
    if (preference->reduction_mask & CUBLASLT_REDUCTION_SCHEME_INPLACE)
        algorithm->reduction = CUBLASLT_REDUCTION_SCHEME_INPLACE;
    else if (preference->reduction_mask & CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)
        algorithm->reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    if (algorithm->reduction == CUBLASLT_REDUCTION_SCHEME_NONE)
        return;
    algorithm->splits = 4;
    algorithm->workspace_bytes = (uint32_t)bytes;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t operationDesc, cublasLtMatrixLayout_t Adesc,
    cublasLtMatrixLayout_t Bdesc, cublasLtMatrixLayout_t Cdesc, cublasLtMatrixLayout_t Ddesc,
    cublasLtMatmulPreference_t preference, int requestedAlgoCount,
    cublasLtMatmulHeuristicResult_t heuristicResultsArray[], int *returnAlgoCount) {
    const blas_operation *operation = (blas_operation *)operationDesc;
    const blas_preference *limits = (blas_preference *)preference;
    const blas_layout *a = (blas_layout *)Adesc, *b = (blas_layout *)Bdesc,
                      *c = (blas_layout *)Cdesc, *d = (blas_layout *)Ddesc;
    blas_extents extents;
    *returnAlgoCount = 0;
    MAY_REFUSE(BLAS_QUERY);
    if (!lightHandle || requestedAlgoCount < 1)
        return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t status = blas_check_problem(operation, a, b, c, d, &extents);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    blas_algorithm algorithm = {.shape = blas_shape_hash(operation, a, b, d),
                                .alignment_a = (uint16_t)limits->alignment_a,
                                .alignment_b = (uint16_t)limits->alignment_b,
                                .alignment_d = (uint16_t)limits->alignment_d,
                                .alignment_vector = (uint16_t)blas_alignment(operation->vector),
                                .id = 66,
                                .splits = 1,
                                .reduction = CUBLASLT_REDUCTION_SCHEME_NONE,
                                .signature = BLAS_SIGNATURE};
    split(&algorithm, &extents, limits);
    /* The others are not split, and need no workspace. */
    for (int index = 0; index < requestedAlgoCount && index < ANSWERS; index++) {
        cublasLtMatmulHeuristicResult_t *result = &heuristicResultsArray[index];
        memset(result, 0, sizeof *result);
        memcpy(&result->algo, &algorithm, sizeof algorithm);
        result->workspaceSize = algorithm.workspace_bytes;
        result->state = CUBLAS_STATUS_SUCCESS;
        result->wavesCount = 1.0f;
        *returnAlgoCount = index + 1;
        algorithm.id++;
        algorithm.splits = 1;
        algorithm.workspace_bytes = 0;
        algorithm.reduction = CUBLASLT_REDUCTION_SCHEME_NONE;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t attr,
                                                    void *buf, size_t sizeInBytes,
                                                    size_t *sizeWritten) {
    blas_algorithm algorithm;
    memcpy(&algorithm, algo, sizeof algorithm);
    if (algorithm.signature != BLAS_SIGNATURE)
        emulated_violation("cublasLt: an algorithm that no search returned is asked about");
    int32_t value;
    if (attr == CUBLASLT_ALGO_CONFIG_ID)
        value = algorithm.id;
    else if (attr == CUBLASLT_ALGO_CONFIG_SPLITK_NUM)
        value = algorithm.splits;
    else
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (sizeInBytes != sizeof value)
        emulated_violation("cublasLt: an algorithm's attribute: expected 4 bytes, found %zu",
                           sizeInBytes);
    memcpy(buf, &value, sizeof value);
    *sizeWritten = sizeof value;
    return CUBLAS_STATUS_SUCCESS;
}
