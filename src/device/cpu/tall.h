/* A linear layer's three products for many rows, the tokens of a batch: there, unlike in
 * product.h, all three operands are large. Both operands are copied as the inner loop wants them: a
 * span of the right one once for all threads, in panels as wide as a tile, a block of the left one
 * by each thread. The scheme is that of K. Goto and R. A. van de Geijn, Anatomy of High-Performance
 * Matrix Multiplication, ACM TOMS 34(3), 2008.
 *
 * An element's sum is made in one order, that of its terms, whatever the number of rows or threads.
 * A bias comes last. */
#ifndef LOCKSTEP_DEVICE_CPU_TALL_H
#define LOCKSTEP_DEVICE_CPU_TALL_H

#include "device/cpu/forms.h"
#include "device/kinds/linear.h"

/* fp32 with AVX2 and no more, bf16 with AVX-512, of which copies are then fp32 and results rounded
 * once: as they were measured. More rows than product.h takes, features in whole panels. x, y, dx,
 * dy and weights are of the shape's type. */
bool cpu_tall_serves(const linear_shape *shape);

/* For any of the three, on this many threads. */
size_t cpu_tall_workspace_bytes(const linear_shape *shape, int threads);

/* y [n, out] = x [n, in] * transposed weights [out, in] + bias [out], and its positive part where
 * the shape has a ReLU. */
void cpu_tall_forward(const linear_shape *shape, const void *x, const void *weights,
                      const float *bias, void *y, void *workspace);
/* dx [n, in] = dy [n, out] * weights. */
void cpu_tall_backward_data(const linear_shape *shape, const void *dy, const void *weights,
                            void *dx, void *workspace);
/* dweights [out, in] = transposed dy * x; dbias [out] = the sums of dy's columns. */
void cpu_tall_backward_weights(const linear_shape *shape, const void *x, const void *dy,
                               float *dweights, float *dbias, void *workspace);

#endif
