#include "conv_time.h"
#include "base/clock.h"

#include <stdlib.h>

enum { MOST_RECORDED = 20, MOST_LAUNCHES = 5 };

/* A launch of a graph that takes this long is timed well enough; a second one adds little where
 * one takes a hundred times that. */
#define LAUNCH_SECONDS  1e-3
#define WARM_UP_SECONDS 20e-3

typedef struct timing {
    device *device;
    device_stream *stream;
    device_event *from, *to;
    void *memory[5]; /* of `pointers` */
    conv_pointers pointers;
} timing;

static int timing_allocate(timing *self, size_t bytes, int slot, ls_error *error) {
    if (bytes == 0)
        return LS_OK;
    return self->device->is->allocate(self->device, bytes, "timing a convolution",
                                      &self->memory[slot], error);
}

static int timing_open(timing *self, const conv_run *runs, int count, ls_error *error) {
    const conv_graph *graph = runs[0].graph;
    const conv2d_shape *shape = &graph->shape;
    size_t workspace = 0;
    for (int index = 0; index < count; index++)
        if (runs[index].workspace_bytes > workspace)
            workspace = runs[index].workspace_bytes;
    LS_TRY(self->device->is->stream_create(self->device, &self->stream, error));
    LS_TRY(self->device->is->event_create(self->device, &self->from, error));
    LS_TRY(self->device->is->event_create(self->device, &self->to, error));
    LS_TRY(timing_allocate(self, conv_tensor_bytes(graph, CONV_UID_INPUT), 0, error));
    /* dw is fp32 whatever the form of the graph. */
    LS_TRY(timing_allocate(self, 4 * conv_weight_count(shape), 1, error));
    LS_TRY(timing_allocate(self, conv_tensor_bytes(graph, CONV_UID_OUTPUT), 2, error));
    LS_TRY(timing_allocate(self, 4 * (size_t)shape->out_channels, 3, error));
    LS_TRY(timing_allocate(self, workspace, 4, error));
    self->pointers = (conv_pointers){self->memory[0], self->memory[1], self->memory[2],
                                     self->memory[3], self->memory[4]};
    return LS_OK;
}

static void timing_close(timing *self) {
    for (int slot = 4; slot >= 0; slot--)
        if (self->memory[slot])
            self->device->is->release(self->device, self->memory[slot]);
    if (self->to)
        self->device->is->event_destroy(self->device, self->to);
    if (self->from)
        self->device->is->event_destroy(self->device, self->from);
    if (self->stream)
        self->device->is->stream_destroy(self->device, self->stream);
}

/* `graph` NULL: the run itself, eagerly. */
static int time_once(timing *self, conv_run *run, device_graph *graph, double *out,
                     ls_error *error) {
    const device_interface *is = self->device->is;
    LS_TRY(is->event_record(self->device, self->from, self->stream, error));
    if (graph)
        LS_TRY(is->graph_launch(self->device, graph, self->stream, error));
    else
        LS_TRY(conv_run_execute(run, cuda_stream(self->stream), &self->pointers, error));
    LS_TRY(is->event_record(self->device, self->to, self->stream, error));
    LS_TRY(is->event_synchronize(self->device, self->to, error));
    return is->event_seconds(self->device, self->from, self->to, out, error);
}

static int record(timing *self, conv_run *run, int repeats, device_graph **out, ls_error *error) {
    const device_interface *is = self->device->is;
    LS_TRY(is->graph_begin(self->device, self->stream, error));
    int status = LS_OK;
    for (int index = 0; index < repeats && status == LS_OK; index++)
        status = conv_run_execute(run, cuda_stream(self->stream), &self->pointers, error);
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

/* Seconds of one execution. */
static int time_run(timing *self, conv_run *run, double *out, ls_error *error) {
    double samples[MOST_LAUNCHES], once;
    LS_TRY(time_once(self, run, NULL, &once, error)); /* loads its kernels */
    LS_TRY(time_once(self, run, NULL, &once, error));
    int repeats = count_for(LAUNCH_SECONDS, once, MOST_RECORDED);
    int launches = count_for(100 * LAUNCH_SECONDS, once * repeats, MOST_LAUNCHES);
    device_graph *graph;
    LS_TRY(record(self, run, repeats, &graph, error));
    int status = LS_OK;
    for (int index = 0; index < launches && status == LS_OK; index++)
        status = time_once(self, run, graph, &samples[index], error);
    self->device->is->graph_destroy(self->device, graph);
    qsort(samples, (size_t)launches, sizeof samples[0], ascending);
    *out = samples[launches / 2] / repeats;
    return status;
}

/* A GPU that was idle needs a while to raise its clocks: the first candidate must not pay for it.
 */
static void raise_clocks(timing *self, conv_run *run) {
    ls_error ignored = {0};
    double seconds, start = clock_seconds();
    while (clock_seconds() - start < WARM_UP_SECONDS)
        if (time_once(self, run, NULL, &seconds, &ignored) != LS_OK)
            return;
}

int conv_time(cuda_device *device, conv_run *runs, int count, bool first, int *best, int *timed,
              ls_error *error) {
    timing self = {.device = &device->base};
    *best = -1;
    *timed = 0;
    int status = timing_open(&self, runs, count, error);
    if (status == LS_OK)
        raise_clocks(&self, &runs[0]);
    double start = clock_seconds(), fastest = 0, seconds;
    for (int index = 0; status == LS_OK && index < count; index++) {
        if (first ? *best >= 0 : index > 0 && clock_seconds() - start > CONV_TIMING_SECONDS)
            break;
        ls_error refused = {0};
        if (time_run(&self, &runs[index], &seconds, &refused) != LS_OK)
            continue;
        ++*timed;
        if (*best < 0 || seconds < fastest) {
            *best = index;
            fastest = seconds;
        }
    }
    if (self.stream)
        self.device->is->stream_synchronize(self.device, self.stream, error);
    timing_close(&self);
    return status;
}
