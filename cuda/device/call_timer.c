#include "cuda/device/call_timer.h"

#include "base/clock.h"

#include <stdlib.h>

enum { MOST_RECORDED = 20, MOST_LAUNCHES = 5 };

/* A launch of a graph that takes this long is timed well enough; a second one adds little where
 * one takes a hundred times that. */
#define LAUNCH_SECONDS  1e-3
#define WARM_UP_SECONDS 20e-3

int call_timer_open(cuda_device *device, call_timer *out, ls_error *error) {
    const device_interface *is = device->base.is;
    *out = (call_timer){.device = &device->base};
    LS_TRY(is->stream_create(out->device, &out->stream, error));
    LS_TRY(is->event_create(out->device, &out->from, error));
    return is->event_create(out->device, &out->to, error);
}

int call_timer_close(call_timer *self, int status, ls_error *error) {
    const device_interface *is = self->device->is;
    if (self->stream && status == LS_OK)
        status = is->stream_synchronize(self->device, self->stream, error);
    if (self->to)
        is->event_destroy(self->device, self->to);
    if (self->from)
        is->event_destroy(self->device, self->from);
    if (self->stream)
        is->stream_destroy(self->device, self->stream);
    return status;
}

static int put(call_timer *self, const timed_call *call, ls_error *error) {
    return call->put(call->context, cuda_stream(self->stream), error);
}

/* `graph` NULL: the call itself, eagerly. */
static int time_once(call_timer *self, const timed_call *call, device_graph *graph, double *out,
                     ls_error *error) {
    const device_interface *is = self->device->is;
    LS_TRY(is->event_record(self->device, self->from, self->stream, error));
    LS_TRY(graph ? is->graph_launch(self->device, graph, self->stream, error)
                 : put(self, call, error));
    LS_TRY(is->event_record(self->device, self->to, self->stream, error));
    LS_TRY(is->event_synchronize(self->device, self->to, error));
    return is->event_seconds(self->device, self->from, self->to, out, error);
}

static int record(call_timer *self, const timed_call *call, int repeats, device_graph **out,
                  ls_error *error) {
    const device_interface *is = self->device->is;
    LS_TRY(is->graph_begin(self->device, self->stream, error));
    int status = LS_OK;
    for (int index = 0; index < repeats && status == LS_OK; index++)
        status = put(self, call, error);
    int ended = is->graph_end(self->device, self->stream, out, error);
    if (status != LS_OK && ended == LS_OK)
        is->graph_destroy(self->device, *out);
    return status != LS_OK ? status : ended;
}

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static int count_for(double seconds, double each, int most) {
    double count = seconds / (each > 1e-9 ? each : 1e-9);
    return count < 1 ? 1 : count > most ? most : (int)count;
}

int call_timer_measure(call_timer *self, const timed_call *call, bool quick, double *out,
                       ls_error *error) {
    double samples[MOST_LAUNCHES], once;
    LS_TRY(time_once(self, call, NULL, &once, error)); /* loads its kernels */
    LS_TRY(time_once(self, call, NULL, &once, error));
    int repeats = count_for(quick ? LAUNCH_SECONDS / 4 : LAUNCH_SECONDS, once, MOST_RECORDED);
    int launches = quick ? 1 : count_for(100 * LAUNCH_SECONDS, once * repeats, MOST_LAUNCHES);
    device_graph *graph;
    LS_TRY(record(self, call, repeats, &graph, error));
    int status = LS_OK;
    for (int index = 0; index < launches && status == LS_OK; index++)
        status = time_once(self, call, graph, &samples[index], error);
    self->device->is->graph_destroy(self->device, graph);
    if (status != LS_OK)
        return status;
    qsort(samples, (size_t)launches, sizeof samples[0], ascending);
    *out = samples[launches / 2] / repeats;
    return LS_OK;
}

void call_timer_raise_clocks(call_timer *self, const timed_call *call) {
    ls_error ignored = {0};
    double seconds, start = clock_seconds();
    while (clock_seconds() - start < WARM_UP_SECONDS)
        if (time_once(self, call, NULL, &seconds, &ignored) != LS_OK)
            return;
}

int call_timer_try(call_timer *self, const timed_call *call, ls_error *error) {
    double seconds;
    device_graph *graph;
    LS_TRY(time_once(self, call, NULL, &seconds, error));
    LS_TRY(record(self, call, 1, &graph, error));
    int status = time_once(self, call, graph, &seconds, error);
    self->device->is->graph_destroy(self->device, graph);
    return status;
}
