/* What the two files of cuBLASLt's stand-in share. The real header's handles point to these. */
#ifndef LOCKSTEP_TESTS_EMULATED_CUBLASLT_H
#define LOCKSTEP_TESTS_EMULATED_CUBLASLT_H

#include "emulated.h"

#include <cublasLt.h>
#include <stdint.h>

typedef struct blas_layout {
    cudaDataType_t type;
    uint64_t rows, columns;
    int64_t leading;
} blas_layout;

typedef struct blas_operation {
    cublasComputeType_t compute;
    cudaDataType_t scale_type;
    int32_t transpose_a, transpose_b;
    uint32_t epilogue;
    int32_t vector_type; /* -1: the result's */
    void *vector;        /* bias, or its gradient */
    void *aux;           /* bits of a ReLU */
    int64_t aux_leading; /* in bits; 0: not set */
} blas_operation;

typedef struct blas_preference {
    uint64_t workspace_limit;
    uint32_t reduction_mask, alignment_a, alignment_b, alignment_c, alignment_d;
} blas_preference;

/* What lies in a cublasLtMatmulAlgo_t: what it was chosen for, so that a run with anything else is
 * caught. */
typedef struct blas_algorithm {
    uint64_t shape; /* blas_shape_hash */
    uint32_t workspace_bytes;
    uint16_t alignment_a, alignment_b, alignment_d, alignment_vector;
    int32_t id, splits;
    uint32_t reduction;
    uint64_t signature;
} blas_algorithm;
_Static_assert(sizeof(blas_algorithm) <= sizeof(cublasLtMatmulAlgo_t), "an algorithm's room");
#define BLAS_SIGNATURE UINT64_C(0x6c6f636b73746570)

/* m, n and k of result[m, n] = op(A)[m, k] x op(B)[k, n]; a violation where the layouts do not fit
 * together. CUBLAS_STATUS_NOT_SUPPORTED for types, or an epilogue, that cuBLASLt has not. */
typedef struct blas_extents {
    uint64_t m, n, k;
} blas_extents;
cublasStatus_t blas_check_problem(const blas_operation *operation, const blas_layout *a,
                                  const blas_layout *b, const blas_layout *c, const blas_layout *d,
                                  blas_extents *out);
uint64_t blas_shape_hash(const blas_operation *operation, const blas_layout *a,
                         const blas_layout *b, const blas_layout *d);
/* Of its address, at most 256. */
unsigned blas_alignment(const void *pointer);

#endif
