/* The choice of an engine for one direction of a convolution. */
#ifndef LOCKSTEP_CUDA_CONV_CHOOSE_H
#define LOCKSTEP_CUDA_CONV_CHOOSE_H

#include "conv_run.h"
#include "cuda_device.h"

enum { CONV_SOURCE_BYTES = 32 };

/* *out runs what device->choices has for this shape; `source` says where it is from. Where the
 * table has nothing:
 * - a rank that chooses times the candidates, and puts the fastest into the table;
 * - a rank that imported its table takes the first offer that runs, of the engines that cuDNN
 *   brings compiled before others (it depends on the shape alone): such a shape is one that rank 0
 *   does not have, the share of a ragged batch.
 * What was not timed is run once, by itself and recorded into a graph, before it is taken. An entry
 * that does not build or run is chosen again, on a rank that imported it as a shape that rank 0
 * does not have. Where nothing of cuDNN's is left, *out is zeroed: a kernel of ours computes. Both
 * are among the device's fallbacks. LS_FAILED where there is no host memory. */
int conv_choose(cuda_device *device, const conv2d_shape *shape, conv_direction direction,
                conv_run *out, char source[CONV_SOURCE_BYTES], ls_error *error);

#endif
