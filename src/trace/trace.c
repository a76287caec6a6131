#include "trace/trace_state.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

/* Spans of one step: a layer has five ranges, and three waits for communication. */
static int room_of(span_row row, int layers) {
    static const int fixed[] = {64, 64, 16}, each[] = {16, 4, 0};
    return fixed[row] + each[row] * layers;
}

static int open_row(trace *self, span_row row, int steps, int layers, ls_error *error) {
    trace_buffer *buffer = &self->rows[row];
    int room = room_of(row, layers);
    buffer->capacity = steps * room;
    buffer->spans = calloc((size_t)buffer->capacity, sizeof *buffer->spans);
    if (!buffer->spans)
        return ls_fail(error, LS_FAILED, "--profile %d: no memory for that many steps", steps);
    memset(buffer->spans, 0, (size_t)buffer->capacity * sizeof *buffer->spans); /* its pages */
    if (row == ROW_LOADER)
        return LS_OK;
    buffer->events = calloc(2 * (size_t)room, sizeof(device_event *));
    if (!buffer->events)
        return ls_fail(error, LS_FAILED, "--profile %d: no memory for that many steps", steps);
    buffer->pairs = room;
    for (int index = 0; index < 2 * room; index++)
        LS_TRY(self->device->is->event_create(self->device, &buffer->events[index], error));
    return LS_OK;
}

/* ---- spans from events */

/* Marks cannot fail where they stand: the step's end says what the first failure was. */
static void record(trace *self, device_event *event, device_stream *stream) {
    if (self->error.code == LS_OK)
        self->device->is->event_record(self->device, event, stream, &self->error);
}

/* An end is not recorded yet, or is; then the step's end puts seconds there. */
static const double OPEN = -1, ENDED = -2;

int trace_begin(trace *self, span_row row, const char *name, device_stream *stream) {
    trace_buffer *buffer = &self->rows[row];
    int index = buffer->count, pair = index - buffer->first;
    if (index == buffer->capacity || pair == buffer->pairs) {
        self->lost++;
        return -1;
    }
    span *made = &buffer->spans[buffer->count++];
    *made = (span){.row = (int32_t)row, .step = atomic_load(&self->step), .end = OPEN};
    strncpy(made->name, name, sizeof made->name - 1);
    record(self, buffer->events[2 * pair], stream);
    return index;
}

device_event *trace_end_event(trace *self, span_row row, int index) {
    trace_buffer *buffer = &self->rows[row];
    return buffer->events[2 * (index - buffer->first) + 1];
}

void trace_end(trace *self, span_row row, int index, device_stream *stream) {
    if (index < self->rows[row].first) /* lost, or of a step that is over */
        return;
    self->rows[row].spans[index].end = ENDED;
    record(self, trace_end_event(self, row, index), stream);
}

/* ---- the observer: ranges of the thread that computes, and of one that helps */

static bool is_helper(trace *self) {
    pthread_t me = pthread_self(), none = 0;
    return atomic_compare_exchange_strong(&self->helper, &none, me) || pthread_equal(none, me);
}

static void helper_begins(trace *self, const char *name) {
    trace_buffer *buffer = &self->rows[ROW_LOADER];
    int count = atomic_load(&self->helper_count);
    if (!is_helper(self) || self->helper_open || count == buffer->capacity)
        return;
    span *made = &buffer->spans[count];
    *made = (span){.row = ROW_LOADER, .step = atomic_load(&self->step)};
    strncpy(made->name, name, sizeof made->name - 1);
    made->begin = clock_seconds();
    self->helper_open = true;
}

static void helper_ends(trace *self) {
    int count = atomic_load(&self->helper_count);
    if (!is_helper(self) || !self->helper_open)
        return;
    self->rows[ROW_LOADER].spans[count].end = clock_seconds();
    self->helper_open = false;
    atomic_store(&self->helper_count, count + 1);
}

static void range_begins(void *context, const char *name) {
    trace *self = context;
    if (!atomic_load_explicit(&self->active, memory_order_relaxed))
        return;
    if (!pthread_equal(pthread_self(), self->owner)) {
        helper_begins(self, name);
        return;
    }
    int index = self->depth < TRACE_DEPTH ? trace_begin(self, ROW_COMPUTE, name, self->stream) : -1;
    if (index >= 0)
        self->rows[ROW_COMPUTE].spans[index].depth = self->depth;
    if (self->depth < TRACE_DEPTH)
        self->open[self->depth] = index;
    self->depth++;
}

static void range_ends(void *context) {
    trace *self = context;
    if (!pthread_equal(pthread_self(), self->owner)) {
        if (atomic_load(&self->helper) != 0)
            helper_ends(self);
        return;
    }
    if (!atomic_load_explicit(&self->active, memory_order_relaxed))
        return;
    if (--self->depth < TRACE_DEPTH)
        trace_end(self, ROW_COMPUTE, self->open[self->depth], self->stream);
}

/* ---- steps */

static int set_base(trace *self, ls_error *error) {
    const device_interface *is = self->device->is;
    LS_TRY(is->stream_synchronize(self->device, self->stream, error));
    LS_TRY(is->event_record(self->device, self->base, self->stream, error));
    LS_TRY(is->event_synchronize(self->device, self->base, error));
    self->base_seconds = clock_seconds();
    return LS_OK;
}

int trace_step_begin(trace *self, ls_error *error) {
    if (atomic_load(&self->step) < 0)
        LS_TRY(set_base(self, error));
    atomic_fetch_add(&self->step, 1);
    for (int row = 0; row < ROW_LOADER; row++)
        self->rows[row].first = self->rows[row].count;
    self->depth = 0;
    atomic_store(&self->active, true);
    device_range_begin(self->device, "step");
    return LS_OK;
}

static int seconds_of(trace *self, device_event *event, double *out, ls_error *error) {
    double since;
    LS_TRY(self->device->is->event_seconds(self->device, self->base, event, &since, error));
    *out = self->base_seconds + since;
    return LS_OK;
}

/* A span whose end was never marked is no span. */
static int read_events(trace *self, trace_buffer *buffer, ls_error *error) {
    int kept = buffer->first;
    for (int index = buffer->first; index < buffer->count; index++) {
        span seen = buffer->spans[index];
        int pair = index - buffer->first;
        self->lost += seen.end == OPEN;
        if (seen.end == OPEN)
            continue;
        LS_TRY(seconds_of(self, buffer->events[2 * pair], &seen.begin, error));
        LS_TRY(seconds_of(self, buffer->events[2 * pair + 1], &seen.end, error));
        buffer->spans[kept++] = seen;
    }
    buffer->count = kept;
    return LS_OK;
}

int trace_step_end(trace *self, ls_error *error) {
    device_range_end(self->device);
    atomic_store(&self->active, false);
    if (self->error.code != LS_OK) {
        *error = self->error;
        return error->code;
    }
    LS_TRY(self->device->is->stream_synchronize(self->device, self->stream, error));
    LS_TRY(self->device->is->stream_synchronize(self->device, self->side, error));
    LS_TRY(read_events(self, &self->rows[ROW_COMPUTE], error));
    return read_events(self, &self->rows[ROW_COMMUNICATION], error);
}

int trace_steps(const trace *self) {
    return atomic_load(&self->step) + 1;
}

const span *trace_spans(const trace *self, span_row row, int *count) {
    *count = row == ROW_LOADER ? atomic_load(&self->helper_count) : self->rows[row].count;
    return self->rows[row].spans;
}

/* ---- open and close */

static int open_all(trace *self, int steps, int layers, ls_error *error) {
    const device_interface *is = self->device->is;
    LS_TRY(is->event_create(self->device, &self->base, error));
    LS_TRY(is->stream_create(self->device, &self->side, error));
    for (int row = 0; row < SPAN_ROWS; row++)
        LS_TRY(open_row(self, (span_row)row, steps, layers, error));
    return LS_OK;
}

int trace_open(device *device, device_stream *stream, int steps, int layers, trace **out,
               ls_error *error) {
    trace *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->device = device;
    self->stream = stream;
    self->owner = pthread_self();
    self->observer = (device_observer){self, range_begins, range_ends};
    atomic_store(&self->step, -1);
    int status = open_all(self, steps, layers, error);
    if (status != LS_OK) {
        trace_close(self);
        return status;
    }
    device->observer = &self->observer;
    *out = self;
    return LS_OK;
}

void trace_close(trace *self) {
    if (!self)
        return;
    const device_interface *is = self->device->is;
    if (self->device->observer == &self->observer)
        self->device->observer = NULL;
    for (int row = 0; row < SPAN_ROWS; row++) {
        trace_buffer *buffer = &self->rows[row];
        for (int index = 0; index < 2 * buffer->pairs; index++)
            if (buffer->events[index])
                is->event_destroy(self->device, buffer->events[index]);
        free(buffer->events);
        free(buffer->spans);
    }
    if (self->base)
        is->event_destroy(self->device, self->base);
    if (self->side)
        is->stream_destroy(self->device, self->side);
    free(self);
}
