/* A linear layer's three products in fp32 or bf16, for a batch of few rows: weights [out, in] are
 * then by far the largest operand, and every product is one pass over them (or over their gradient)
 * in the order in which they lie. oneDNN 2.6 packs them first, which costs as much again: at the
 * CNN's fc1 (64 x 8192 x 512) it reaches 65 to 80% of its own sgemm's rate, these 92 to 110%.
 *
 * An element's sum is made in one order, whatever the number of rows or threads. The scheme is that
 * of K. Goto and R. A. van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS
 * 34(3), 2008: a tile in registers, the operand that every tile reads in the caches. */
#ifndef LOCKSTEP_DEVICE_CPU_PRODUCT_H
#define LOCKSTEP_DEVICE_CPU_PRODUCT_H

#include "device/cpu/forms.h"
#include "device/kinds/linear.h"

/* bf16: AVX-512 with its products of bf16. Rows in sixteens and not too many, in_features in
 * sixty-fours. x, y, dx, dy and weights are of the shape's type; sums are fp32. */
bool cpu_product_serves(const linear_shape *shape);

/* For any of the three, on this many threads. */
size_t cpu_product_workspace_bytes(const linear_shape *shape, int threads);

/* y [n, out] = x [n, in] * transposed weights [out, in] + bias [out], and its positive part where
 * the shape has a ReLU. */
void cpu_product_forward(const linear_shape *shape, const void *x, const void *weights,
                         const float *bias, void *y, void *workspace);
/* dx [n, in] = dy [n, out] * weights. */
void cpu_product_backward_data(const linear_shape *shape, const void *dy, const void *weights,
                               void *dx, void *workspace);
/* dweights [out, in] = transposed dy * x. */
void cpu_product_backward_weights(const linear_shape *shape, const void *x, const void *dy,
                                  float *dweights, void *workspace);

#endif
