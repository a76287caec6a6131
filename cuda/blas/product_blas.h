/* One matrix product as cuBLASLt is asked for it: the description of its operation and matrices,
 * the algorithms that it offers, and a run. product.h says what a product is. */
#ifndef LOCKSTEP_CUDA_BLAS_PRODUCT_BLAS_H
#define LOCKSTEP_CUDA_BLAS_PRODUCT_BLAS_H

#include "base/text_buffer.h"
#include "cuda/blas/product_shape.h"

#include <cublasLt.h>

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

/* `vector` NULL for PRODUCT_PLAIN and PRODUCT_MASK; `bits` for those that have none. */
int blas_product_run(const blas_product *self, cublasLtHandle_t handle, cudaStream_t stream,
                     const blas_algorithm_choice *choice, const void *left, const void *right,
                     void *result, void *vector, const void *bits, void *workspace,
                     ls_error *error);

/* "66 1=20 2=4 3=2": the algorithm's number and what else is configured of it, as attribute=value;
 * of one version of cuBLASLt on one model of GPU, equal texts are equal algorithms. */
void blas_algorithm_write(const blas_algorithm_choice *choice, text_buffer *to);
/* "algorithm 66.9f3c21aa, 4 splits", by its number and a hash over the text above */
void blas_algorithm_describe(const blas_algorithm_choice *choice, char *out, size_t capacity);

#endif
