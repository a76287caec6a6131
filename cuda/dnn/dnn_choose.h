/* The choice of an engine for a problem. */
#ifndef LOCKSTEP_CUDA_DNN_DNN_CHOOSE_H
#define LOCKSTEP_CUDA_DNN_DNN_CHOOSE_H

#include "cuda/choices/choices.h"
#include "cuda/device/cuda_device.h"
#include "cuda/dnn/dnn_run.h"

/* *out runs what device->choices has for this problem; `source` says where it is from. Where the
 * table has nothing:
 * - a rank that chooses times the candidates, as long as there is time left for the whole model
 *   (device->choosing), and puts the fastest into the table; without, it takes the first offer;
 * - a rank that imported its table takes the first offer that runs, of the engines that cuDNN
 *   brings compiled before others (it depends on the shape alone): such a shape is one that rank 0
 *   does not have, the share of a ragged batch.
 * What was not timed is run once, by itself and recorded into a graph, before it is taken. An entry
 * that does not build or run is chosen again, on a rank that imported it as a shape that rank 0
 * does not have. Where nothing of cuDNN's is left, *out is zeroed: the problem's kernel computes.
 * Both are among the device's fallbacks. LS_FAILED, with cuDNN's reason, where the problem has no
 * kernel, and where there is no host memory. */
int dnn_choose(cuda_device *device, const dnn_problem *problem, dnn_run *out,
               char source[CHOICE_SOURCE_BYTES], ls_error *error);

/* For dnn_settle: chooses, and puts it into the table, where the time is. `quick`: of the first few
 * offers, by a launch each. *spread: seconds between the slowest and the fastest of the timed. */
int dnn_choose_by_time(cuda_device *device, const dnn_problem *problem, bool quick, double *spread,
                       ls_error *error);

#endif
