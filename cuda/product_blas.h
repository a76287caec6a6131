/* One matrix product as cuBLASLt is asked for it: the description of its operation and matrices,
 * the algorithms that it offers, and a run. product.h says what a product is. */
#ifndef LOCKSTEP_CUDA_PRODUCT_BLAS_H
#define LOCKSTEP_CUDA_PRODUCT_BLAS_H

#include "product.h"

enum { BLAS_ANSWERS = 8 };

typedef struct blas_algorithm_choice {
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace_bytes;
} blas_algorithm_choice;

typedef struct blas_product {
    product_shape shape; /* whose epilogue is cuBLASLt's: its vector has the result's type */
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, d;
} blas_product;

/* The caller destroys *out, also where it fails. */
int blas_product_describe(const product_shape *shape, blas_product *out, ls_error *error);
void blas_product_destroy(blas_product *self); /* zeroed is fine */

/* All that the heuristic offers of algorithms that give the same bits each time, best first, for
 * matrices and vector that are aligned to 16 bytes (`wide`) or to an element. None at all is
 * LS_FAILED, like any other status of cuBLASLt than success. */
int blas_product_ask(const blas_product *self, cublasLtHandle_t handle, bool wide,
                     blas_algorithm_choice out[BLAS_ANSWERS], int *count, ls_error *error);

/* `vector` NULL for PRODUCT_PLAIN. */
int blas_product_run(const blas_product *self, cublasLtHandle_t handle, cudaStream_t stream,
                     const blas_algorithm_choice *choice, const void *left, const void *right,
                     void *result, void *vector, void *workspace, ls_error *error);

/* "algorithm 66, 4 splits" */
void blas_algorithm_describe(const blas_algorithm_choice *choice, char *out, size_t capacity);

#endif
