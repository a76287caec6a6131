/* Timing of the candidates for one problem. */
#ifndef LOCKSTEP_CUDA_DNN_DNN_TIME_H
#define LOCKSTEP_CUDA_DNN_DNN_TIME_H

#include "cuda/device/cuda_device.h"
#include "cuda/dnn/dnn_run.h"

typedef struct dnn_timing {
    bool quick;              /* as asked: call_timer.h; and clocks are as they are */
    int best, timed;         /* the fastest run, -1 where none ran; how many were timed */
    double fastest, slowest; /* seconds, of the timed */
} dnn_timing;

/* Which of runs[count] (of one problem, the heuristics' favourites first) is fastest, of those that
 * were timed before the time allowed (DNN_TIMING_SECONDS) was over: as in a training step
 * (call_timer.h), and a run that cannot be recorded is no choice. Memory is scratch (zeros) that is
 * gone again afterwards. LS_FAILED where there is no memory for it. Why a run is no choice is among
 * the device's refusals, and the first such text in *refused. */
int dnn_time(cuda_device *device, dnn_run *runs, int count, dnn_timing *timing, ls_error *refused,
             ls_error *error);

/* The first of runs[count] that runs once by itself, and once recorded into a graph: *first, -1
 * where none does. The rest as above. */
int dnn_try(cuda_device *device, dnn_run *runs, int count, int *first, ls_error *refused,
            ls_error *error);

#define DNN_TIMING_SECONDS 0.5

#endif
