/* A recorder of spans of time, for a profile of a few steps: what the compute stream did by phase,
 * layer and pass, each collective, and what the loader's thread gathered.
 *
 * It is the device's observer (device/device.h): the ranges that a profiler sees are its spans of
 * the compute row. Times come from events in the compute stream on every device (on one whose calls
 * are done when they return, an event is a stamp of the clock). All buffers are made by trace_open;
 * while steps run nothing is allocated or formatted. Where a buffer is full, further spans are
 * counted as lost. One thread computes and makes all calls; one more may mark ranges meanwhile. */
#ifndef LOCKSTEP_TRACE_TRACE_H
#define LOCKSTEP_TRACE_TRACE_H

#include "base/span.h"
#include "comm/comm.h"
#include "device/device.h"

typedef struct trace trace;

/* Observes `device`, whose computing happens in `stream`; records nothing yet. Room for `steps`
 * steps of a model of `layers` layers. Before any other thread marks ranges. */
int trace_open(device *device, device_stream *stream, int steps, int layers, trace **out,
               ls_error *error);
void trace_close(trace *self); /* NULL is fine; after the device's helping threads have ended */

/* A comm like `inner` that records its collectives; closing it closes inner. */
int trace_comm(trace *self, comm *inner, comm **out, ls_error *error);

/* A step is recorded between these, in the range "step". The second waits for the device and
 * reads the events; it fails with what failed in a mark. */
int trace_step_begin(trace *self, ls_error *error);
int trace_step_end(trace *self, ls_error *error);
int trace_steps(const trace *self); /* recorded so far */

/* How this rank's clock stands to rank 0's, from leaving barriers together. Collective over
 * `control`, out of the training time; called before and after the recorded steps, so that the
 * offset in between is known too. */
int trace_align(trace *self, comm *control, ls_error *error);

/* This rank's spans of a row, in clock_seconds(), in the order in which they began; the trace's
 * own. */
const span *trace_spans(const trace *self, span_row row, int *count);

/* All ranks' spans on rank 0, in rank 0's clock with 0 where the first of them begins: *out
 * [*count], to be freed by the caller; NULL elsewhere. *lost: of all ranks. *uncertainty_seconds:
 * the widest spread of an offset. Collective over `control`. */
int trace_gather(trace *self, comm *control, span **out, size_t *count, int64_t *lost,
                 double *uncertainty_seconds, ls_error *error);

#endif
