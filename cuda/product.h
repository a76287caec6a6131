/* One matrix product by cuBLASLt, prepared for its shape and then run any number of times. All
 * matrices are dense and row-major: result[rows, columns] = left[rows, inner] x
 * right[inner, columns].
 *
 * The algorithm is cuBLASLt's heuristic's first answer among those that give the same bits each
 * time: partial sums of a split inner dimension go through the workspace and are added in a fixed
 * order (CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE), never in place. Sums are fp32. */
#ifndef LOCKSTEP_CUDA_PRODUCT_H
#define LOCKSTEP_CUDA_PRODUCT_H

#include "cuda_device.h"

typedef enum {
    PRODUCT_PLAIN,
    PRODUCT_BIAS,      /* result[r, c] += vector[c] */
    PRODUCT_BIAS_RELU, /* and then max(0, .) */
    PRODUCT_LEFT_SUMS  /* vector[r] = sum over the inner dimension of left[r, .] is written too */
} product_epilogue;

typedef struct product_shape {
    int rows, columns, inner;
    bool left_transposed;  /* it lies as [inner, rows] */
    bool right_transposed; /* it lies as [columns, inner] */
    dtype type;            /* of both factors: fp32, bf16 or fp16 */
    dtype result_type;     /* `type`, or fp32 */
    bool tf32;             /* type fp32: factors may be rounded to TF32 */
    product_epilogue epilogue;
} product_shape;

typedef struct product product;

/* *out is NULL, and the status LS_OK, where cuBLASLt has no algorithm for PRODUCT_LEFT_SUMS (what
 * it has depends on GPU and version); for any other shape that is LS_FAILED. */
int product_create(cuda_device *device, const product_shape *shape, product **out, ls_error *error);
void product_destroy(product *self); /* NULL is fine */
size_t product_workspace_bytes(const product *self);
/* "algorithm 66, 4 splits" */
const char *product_describe(const product *self);

/* `vector` has the type of the result (cuBLASLt's rule); NULL for PRODUCT_PLAIN. Matrices and
 * vector: aligned to their element, faster where all are to 16 bytes. Workspace: to 256. */
int product_run(product *self, device_stream *stream, const void *left, const void *right,
                void *result, void *vector, void *workspace, ls_error *error);

#endif
