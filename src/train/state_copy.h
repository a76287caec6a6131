/* A copy of what this rank writes of the run's arrays, taken between two steps. Where the device
 * works by itself, the step's stream does no more than put the arrays aside, on the device; from
 * there they go to the host in a stream of their own, beside the steps that follow. */
#ifndef LOCKSTEP_TRAIN_STATE_COPY_H
#define LOCKSTEP_TRAIN_STATE_COPY_H

#include "device/device.h"

typedef struct trainer trainer;
typedef struct saved_arrays saved_arrays;

typedef struct state_copy {
    device *device;
    float *host; /* [elements], of saved_arrays.own; owned */
    /* NULL where the copy is whole as soon as it was begun. */
    float *aside; /* device memory [elements] */
    device_stream *stream;
    device_event *ready; /* `aside` is */
} state_copy;

int state_copy_open(const trainer *self, size_t elements, state_copy *out, ls_error *error);
void state_copy_close(state_copy *self); /* zero bytes are fine; no copy may be under way */

/* The arrays as they are after what is in the step's stream by now. The one before must be whole.
 */
int state_copy_begin(const trainer *self, const saved_arrays *arrays, state_copy *copy,
                     ls_error *error);
/* Until host[] is whole. Any thread. */
int state_copy_wait(const state_copy *self, ls_error *error);

#endif
