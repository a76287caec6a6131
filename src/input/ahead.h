/* The next batch, made while a step runs, in a stream of its own between two events. It reads
 * nothing that a step writes: samples, order and epoch stand still, and the input that it fills was
 * read last by the step before, which is done when `free` is. Only on an asynchronous device. */
#ifndef LOCKSTEP_INPUT_AHEAD_H
#define LOCKSTEP_INPUT_AHEAD_H

#include "device/device.h"

typedef struct ahead {
    device *device;
    device_stream *steps;  /* where steps run */
    device_stream *stream; /* NULL: nothing is made ahead */
    device_event *free, *made;
    device_event *forked, *joined; /* of recordings: an event of one is of no use outside it */
} ahead;

int ahead_open(ahead *self, device *device, device_stream *steps, ls_error *error);
void ahead_close(ahead *self); /* zero bytes are fine */

/* In this order: ahead_free before a step is put into its stream (its own batch is made); what
 * makes the next batch into `stream` between ahead_begin and ahead_end; ahead_take before the step
 * that reads it. */
int ahead_free(ahead *self, ls_error *error);
int ahead_begin(ahead *self, ls_error *error);
int ahead_end(ahead *self, ls_error *error);
int ahead_take(ahead *self, ls_error *error);

/* Inside a recording, around what makes the next batch while the step between them runs. */
int ahead_fork(ahead *self, ls_error *error);
int ahead_join(ahead *self, ls_error *error);

#endif
