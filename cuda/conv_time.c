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
    ls_error *refused; /* the first of all runs' */
    device_stream *stream;
    device_event *from, *to;
    void *memory; /* of all `pointers` */
    conv_pointers pointers;
} timing;

enum { ALIGNMENT = 256 };

/* Where the next part of the memory begins. */
static size_t next(size_t *used, size_t bytes) {
    size_t at = *used;
    *used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

static int allocate(timing *self, const conv_graph *graph, size_t workspace_bytes,
                    ls_error *error) {
    size_t used = 0, input = next(&used, conv_tensor_bytes(graph, CONV_UID_INPUT));
    /* dw is fp32 whatever the form of the graph. */
    size_t weights = next(&used, 4 * conv_weight_count(&graph->shape));
    size_t output = next(&used, conv_tensor_bytes(graph, CONV_UID_OUTPUT));
    size_t bias = next(&used, 4 * (size_t)graph->shape.out_channels);
    size_t workspace = next(&used, workspace_bytes);
    LS_TRY(self->device->is->allocate(self->device, used, "timing a convolution", &self->memory,
                                      error));
    char *memory = self->memory;
    self->pointers = (conv_pointers){memory + input, memory + weights, memory + output,
                                     memory + bias, memory + workspace};
    return LS_OK;
}

static int timing_open(timing *self, const conv_run *runs, int count, ls_error *error) {
    size_t workspace = 0;
    for (int index = 0; index < count; index++)
        if (runs[index].workspace_bytes > workspace)
            workspace = runs[index].workspace_bytes;
    LS_TRY(self->device->is->stream_create(self->device, &self->stream, error));
    LS_TRY(self->device->is->event_create(self->device, &self->from, error));
    LS_TRY(self->device->is->event_create(self->device, &self->to, error));
    return allocate(self, runs[0].graph, workspace, error);
}

static void timing_close(timing *self) {
    self->device->is->release(self->device, self->memory);
    if (self->to)
        self->device->is->event_destroy(self->device, self->to);
    if (self->from)
        self->device->is->event_destroy(self->device, self->from);
    if (self->stream)
        self->device->is->stream_destroy(self->device, self->stream);
}

static int execute(timing *self, conv_run *run, ls_error *error) {
    bool refused; /* any failure means that the run is no choice */
    return conv_run_execute(run, cuda_stream(self->stream), &self->pointers, &refused, error);
}

/* `graph` NULL: the run itself, eagerly. */
static int time_once(timing *self, conv_run *run, device_graph *graph, double *out,
                     ls_error *error) {
    const device_interface *is = self->device->is;
    LS_TRY(is->event_record(self->device, self->from, self->stream, error));
    if (graph)
        LS_TRY(is->graph_launch(self->device, graph, self->stream, error));
    else
        LS_TRY(execute(self, run, error));
    LS_TRY(is->event_record(self->device, self->to, self->stream, error));
    LS_TRY(is->event_synchronize(self->device, self->to, error));
    return is->event_seconds(self->device, self->from, self->to, out, error);
}

static int record(timing *self, conv_run *run, int repeats, device_graph **out, ls_error *error) {
    const device_interface *is = self->device->is;
    LS_TRY(is->graph_begin(self->device, self->stream, error));
    int status = LS_OK;
    for (int index = 0; index < repeats && status == LS_OK; index++)
        status = execute(self, run, error);
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

static void refuse(timing *self, const conv_run *run, const ls_error *why) {
    char shape[CONV_SHAPE_TEXT_BYTES];
    cudaGetLastError(); /* the library's: the next call is not blamed */
    conv_shape_text(&run->graph->shape, run->graph->direction, shape);
    device_remark(&self->device->refusals, "convolution %s: engine %lld: %s", shape,
                  (long long)run->choice.engine.index, why->text);
    ls_fail(self->refused, LS_FAILED, "engine %lld: %s", (long long)run->choice.engine.index,
            why->text);
}

static void time_all(timing *self, conv_run *runs, int count, int *best, int *timed) {
    double start = clock_seconds(), fastest = 0, seconds;
    for (int index = 0; index < count; index++) {
        if (index > 0 && clock_seconds() - start > CONV_TIMING_SECONDS)
            break;
        ls_error why = {0};
        if (time_run(self, &runs[index], &seconds, &why) != LS_OK) {
            refuse(self, &runs[index], &why);
            continue;
        }
        ++*timed;
        if (*best < 0 || seconds < fastest) {
            *best = index;
            fastest = seconds;
        }
    }
}

static int timing_end(timing *self, int status, ls_error *error) {
    if (self->stream && status == LS_OK)
        status = self->device->is->stream_synchronize(self->device, self->stream, error);
    timing_close(self);
    return status;
}

int conv_time(cuda_device *device, conv_run *runs, int count, int *best, int *timed,
              ls_error *refused, ls_error *error) {
    timing self = {.device = &device->base, .refused = refused};
    *best = -1;
    *timed = 0;
    int status = timing_open(&self, runs, count, error);
    if (status == LS_OK) {
        raise_clocks(&self, &runs[0]);
        time_all(&self, runs, count, best, timed);
    }
    return timing_end(&self, status, error);
}

static int try_run(timing *self, conv_run *run, ls_error *error) {
    double seconds;
    device_graph *graph;
    LS_TRY(time_once(self, run, NULL, &seconds, error));
    LS_TRY(record(self, run, 1, &graph, error));
    int status = time_once(self, run, graph, &seconds, error);
    self->device->is->graph_destroy(self->device, graph);
    return status;
}

int conv_try(cuda_device *device, conv_run *runs, int count, int *first, ls_error *refused,
             ls_error *error) {
    timing self = {.device = &device->base, .refused = refused};
    *first = -1;
    int status = timing_open(&self, runs, count, error);
    for (int index = 0; status == LS_OK && *first < 0 && index < count; index++) {
        ls_error why = {0};
        if (try_run(&self, &runs[index], &why) == LS_OK)
            *first = index;
        else
            refuse(&self, &runs[index], &why);
    }
    return timing_end(&self, status, error);
}
