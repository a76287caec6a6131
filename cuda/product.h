/* One matrix product, prepared for its shape and then run any number of times. All matrices are
 * dense and row-major: result[rows, columns] = left[rows, inner] x right[inner, columns]. Sums are
 * fp32 at least.
 *
 * A product has several ways, and takes the first that is not refused: cuBLASLt with the epilogue
 * as part of its kernel, cuBLASLt and a kernel of ours for the epilogue, a kernel of ours for all.
 * cuBLASLt's algorithms are its heuristic's answers, in its order, among those that give the same
 * bits each time: partial sums of a split inner dimension go through the workspace and are added in
 * a fixed order (CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE), never in place. What is refused, and what
 * is taken instead, goes to the device's remarks. */
#ifndef LOCKSTEP_CUDA_PRODUCT_H
#define LOCKSTEP_CUDA_PRODUCT_H

#include "cuda_device.h"

typedef enum {
    PRODUCT_PLAIN,
    PRODUCT_BIAS,      /* result[r, c] += vector[c] */
    PRODUCT_BIAS_RELU, /* and then max(0, .) */
    PRODUCT_LEFT_SUMS  /* vector[r] = sum over the inner dimension of left[r, .] is written too;
                          left must be transposed */
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

/* Asks cuBLASLt, and runs what will be taken once on scratch memory (where there is room for it).
 * Synchronises. LS_FAILED for types that no way has. */
int product_create(cuda_device *device, const product_shape *shape, product **out, ls_error *error);
void product_destroy(product *self); /* NULL is fine */
size_t product_workspace_bytes(const product *self);
/* "algorithm 66, 4 splits", "algorithm 66, 1 split, bias by a kernel", "a kernel of ours": what is
 * taken now where everything is aligned to 16 bytes. */
const char *product_describe(product *self);

/* `vector`: fp32; NULL for PRODUCT_PLAIN. Where cuBLASLt wants a bias of the result's type, it gets
 * one rounded. Matrices and vector: aligned to their element, faster where all are to 16 bytes.
 * Workspace: to 256. A way that is refused now is not tried again. */
int product_run(product *self, device_stream *stream, const void *left, const void *right,
                void *result, float *vector, void *workspace, ls_error *error);

#endif
