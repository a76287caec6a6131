/* Choosing engines for all problems of a model at once, in a bounded time: those that wait are
 * looked at quickly first, and then timed in the order of what there is to gain. */
#ifndef LOCKSTEP_CUDA_DNN_DNN_SETTLE_H
#define LOCKSTEP_CUDA_DNN_DNN_SETTLE_H

#include "cuda/device/cuda_device.h"
#include "cuda/dnn/dnn_problem.h"

/* The problem waits, while it exists; once for each key. */
int dnn_waiting_add(cuda_device *device, const dnn_problem *problem, ls_error *error);
void dnn_waiting_remove(cuda_device *device, const dnn_problem *problem);

/* Each problem that waits is given an engine in the table, as far as device->choosing has seconds
 * left: first of its first offers by a quick look; then, where these were furthest apart first, of
 * all. What no time was left for has no entry. None waits afterwards, nor will. */
int dnn_settle(cuda_device *device, ls_error *error);

#endif
