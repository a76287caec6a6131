/* Seconds of work that may stand in a training step: it is recorded into a graph, as there, so that
 * the time is the GPU's and not the launches'. */
#ifndef LOCKSTEP_CUDA_DEVICE_CALL_TIMER_H
#define LOCKSTEP_CUDA_DEVICE_CALL_TIMER_H

#include "cuda/device/cuda_device.h"

typedef struct call_timer {
    device *device;
    device_stream *stream;
    device_event *from, *to;
} call_timer;

/* Puts the work into `stream`. */
typedef struct timed_call {
    int (*put)(void *context, cudaStream_t stream, ls_error *error);
    void *context;
} timed_call;

int call_timer_open(cuda_device *device, call_timer *out, ls_error *error);
/* Waits for the stream; `status` where that is not LS_OK, else how the waiting ended. */
int call_timer_close(call_timer *self, int status, ls_error *error);

/* A GPU that was idle needs a while to raise its clocks: the first candidate must not pay for it.
 */
void call_timer_raise_clocks(call_timer *self, const timed_call *call);
/* *out: of one execution, the median of several launches; `quick`: of one launch. Work that cannot
 * be recorded fails. */
int call_timer_measure(call_timer *self, const timed_call *call, bool quick, double *out,
                       ls_error *error);
/* Once by itself, and once recorded. */
int call_timer_try(call_timer *self, const timed_call *call, ls_error *error);

#endif
