/* The choice of an engine for one direction of a convolution. */
#ifndef LOCKSTEP_CUDA_CONV_CHOOSE_H
#define LOCKSTEP_CUDA_CONV_CHOOSE_H

#include "conv_run.h"
#include "cuda_device.h"

enum { CONV_SOURCE_BYTES = 32 };

/* *out runs what device->choices has for this shape; `source` says where it is from. Where the
 * table has nothing:
 * - a rank that chooses times the candidates, and puts the fastest into the table;
 * - a rank that imported its table takes the first offer that builds, of the engines that cuDNN
 *   brings compiled before others (it depends on the shape alone): such a shape is one that rank 0
 *   does not have, the share of a ragged batch.
 * An entry that does not build is chosen again, or, imported, LS_FAILED with the shape's name.
 * LS_FAILED where cuDNN has no plan at all. */
int conv_choose(cuda_device *device, const conv2d_shape *shape, conv_direction direction,
                conv_run *out, char source[CONV_SOURCE_BYTES], ls_error *error);

#endif
