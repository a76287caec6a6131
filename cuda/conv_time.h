/* Timing of the candidates for one convolution. */
#ifndef LOCKSTEP_CUDA_CONV_TIME_H
#define LOCKSTEP_CUDA_CONV_TIME_H

#include "conv_run.h"
#include "cuda_device.h"

/* Which of runs[count] (of one shape and direction, the heuristics' favourites first) is fastest:
 * *best, and *timed, how many were timed before the time allowed (CONV_TIMING_SECONDS) was over.
 * A run is recorded into a graph, as in a training step, so that the time is the GPU's and not the
 * launches', and one that cannot be recorded is no choice; the median of several launches counts.
 * Memory is scratch (zeros) that is gone again afterwards. *best is -1 where none ran. LS_FAILED
 * where there is no memory for it. Why a run is no choice is among the device's refusals, and the
 * first such text in *refused. */
int conv_time(cuda_device *device, conv_run *runs, int count, int *best, int *timed,
              ls_error *refused, ls_error *error);

/* The first of runs[count] that runs once by itself, and once recorded into a graph: *first, -1
 * where none does. The rest as above. */
int conv_try(cuda_device *device, conv_run *runs, int count, int *first, ls_error *refused,
             ls_error *error);

#define CONV_TIMING_SECONDS 0.5

#endif
