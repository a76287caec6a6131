/* What the files of the trace room share. */
#ifndef LOCKSTEP_TRACE_TRACE_STATE_H
#define LOCKSTEP_TRACE_TRACE_STATE_H

#include "trace/trace.h"

#include <pthread.h>
#include <stdatomic.h>

enum { TRACE_DEPTH = 16, TRACE_ALIGNMENTS = 2 };

/* The spans of a row. Those of the current step that come from events have two each, which the
 * next step uses again. */
typedef struct trace_buffer {
    span *spans; /* [capacity] */
    int capacity, count;
    int first;             /* of the current step */
    device_event **events; /* [2 * pairs]; NULL: the row has clock times */
    int pairs;
} trace_buffer;

/* One measurement of this rank's clock against rank 0's. */
typedef struct trace_alignment {
    double at, offset_seconds, spread_seconds;
} trace_alignment;

struct trace {
    device_observer observer;
    device *device;
    device_stream *stream; /* the compute's */
    device_stream *side;   /* the trace's own: where collectives end */
    pthread_t owner;
    atomic_bool active;
    atomic_int step; /* the current one */
    int64_t lost;
    trace_buffer rows[SPAN_ROWS];
    int open[TRACE_DEPTH], depth; /* of the compute row: indices of spans, -1: lost */
    device_event *base;           /* recorded at the first step, */
    double base_seconds;          /* when the clock said this */
    ls_error error;               /* the first failure of a mark */

    /* The helping thread's: the first that marks a range. */
    _Atomic pthread_t helper;
    bool helper_open;
    atomic_int helper_count;

    trace_alignment alignments[TRACE_ALIGNMENTS];
    int alignment_count;
};

/* A span of the current step begins at this point of `stream`: its index, or -1 where it is lost.
 * Names are cut to the room there is. */
int trace_begin(trace *self, span_row row, const char *name, device_stream *stream);
/* It ends at this point of `stream`. index -1: nothing. */
void trace_end(trace *self, span_row row, int index, device_stream *stream);
/* The event of its end. */
device_event *trace_end_event(trace *self, span_row row, int index);

#endif
