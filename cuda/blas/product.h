/* One matrix product, prepared for its shape and then run any number of times. All matrices are
 * dense and row-major: result[rows, columns] = left[rows, inner] x right[inner, columns]. Sums are
 * fp32 at least.
 *
 * A product has several ways, and takes the first that is not refused: cuBLASLt with the epilogue
 * as part of its kernel, cuBLASLt and a kernel of ours for the epilogue, a kernel of ours for all.
 * cuBLASLt's algorithms are its heuristic's answers, in its order but for the one that was the
 * fastest by time (product_choose.h), which comes first; among those that give the same bits each
 * time: partial sums of a split inner dimension go through the workspace and are added in
 * a fixed order (CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE), never in place. What is refused, and what
 * is taken instead, goes to the device's remarks. */
#ifndef LOCKSTEP_CUDA_BLAS_PRODUCT_H
#define LOCKSTEP_CUDA_BLAS_PRODUCT_H

#include "cuda/blas/product_shape.h"
#include "cuda/device/cuda_device.h"

typedef struct product product;

/* Asks cuBLASLt, and runs what will be taken once on scratch memory (where there is room for it).
 * Synchronises. LS_FAILED for types that no way has. */
int product_create(cuda_device *device, const product_shape *shape, product **out, ls_error *error);
void product_destroy(product *self); /* NULL is fine */
size_t product_workspace_bytes(const product *self);
/* "algorithm 66.9f3c21aa, 4 splits (best of 8)", "algorithm 66.9f3c21aa, 1 split, bias by a
 * kernel", "a kernel of ours": what is taken now where everything is aligned to 16 bytes. */
const char *product_describe(product *self);

/* What a run reads and writes. Matrices and vectors: aligned to their element, faster where all are
 * to 16 bytes. Workspace: to 256. */
typedef struct product_operands {
    const void *left, *right;
    void *result;
    float *vector; /* NULL for PRODUCT_PLAIN and PRODUCT_MASK */
    /* The bias in the result's type, where there is a copy: cuBLASLt wants that, and else gets one
     * rounded for it. */
    const void *low_bias;
    /* [product_bits_bytes], aligned to 256, which only cuBLASLt writes and reads: written where
     * *wrote_bits (PRODUCT_BIAS_RELU_BITS), read where not NULL (PRODUCT_MASK). */
    void *bits;
    bool *wrote_bits;
    /* PRODUCT_MASK: the result of the product that made the bits, by which a kernel masks. */
    const void *masked_by;
    void *workspace;
} product_operands;

/* A way that is refused now is not tried again. */
int product_run(product *self, device_stream *stream, const product_operands *operands,
                ls_error *error);

#endif
