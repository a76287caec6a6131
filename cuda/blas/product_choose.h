/* Which of cuBLASLt's algorithms a product takes: what the table of choices has for its shape, or
 * the fastest by time, put into the table, so that all ranks and the next run take the same. */
#ifndef LOCKSTEP_CUDA_BLAS_PRODUCT_CHOOSE_H
#define LOCKSTEP_CUDA_BLAS_PRODUCT_CHOOSE_H

#include "cuda/blas/product_way.h"

/* The table's way comes first in the list, where cuBLASLt offers it here too; else the order stays,
 * and that is among the device's refusals. */
void product_take_known(product *self, product_alignment alignment);

/* Where the table had nothing, this rank chooses, and there is time left for it
 * (device->choosing): times the library's first ways, of the first form, on the call's memory (of
 * which the workspace has `room` bytes). Only for ALIGNED_16: what a step has. A way
 * that fails is no choice; none that runs leaves the order. */
int product_choose(product *self, product_alignment alignment, size_t room,
                   const product_operands *call, ls_error *error);

#endif
