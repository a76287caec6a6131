/* What a matrix product computes. All matrices are dense and row-major:
 * result[rows, columns] = left[rows, inner] x right[inner, columns]. */
#ifndef LOCKSTEP_CUDA_BLAS_PRODUCT_SHAPE_H
#define LOCKSTEP_CUDA_BLAS_PRODUCT_SHAPE_H

#include "device/device.h"

typedef enum {
    PRODUCT_PLAIN,
    PRODUCT_BIAS,      /* result[r, c] += vector[c] */
    PRODUCT_BIAS_RELU, /* and then max(0, .) */
    PRODUCT_LEFT_SUMS, /* vector[r] = sum over the inner dimension of left[r, .] is written too;
                          left must be transposed */
    PRODUCT_BIAS_RELU_BITS, /* as PRODUCT_BIAS_RELU, and a bit an element: it was above 0 */
    PRODUCT_MASK            /* an element whose bit, of such a product, is 0 becomes 0 */
} product_epilogue;

/* Of the bits: rows of columns rounded up to 128, as cuBLASLt wants them; in which order they lie
 * in a byte is its own affair. */
static inline int64_t product_bits_stride(int columns) {
    return (columns + 127) / 128 * 128;
}
static inline size_t product_bits_bytes(int rows, int columns) {
    return (size_t)rows * (size_t)product_bits_stride(columns) / 8;
}

typedef struct product_shape {
    int rows, columns, inner;
    bool left_transposed;  /* it lies as [inner, rows] */
    bool right_transposed; /* it lies as [columns, inner] */
    dtype type;            /* of both factors: fp32, bf16 or fp16 */
    dtype result_type;     /* `type`, or fp32 */
    bool tf32;             /* type fp32: factors may be rounded to TF32 */
    product_epilogue epilogue;
} product_shape;

#endif
