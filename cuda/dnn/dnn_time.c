#include "cuda/dnn/dnn_time.h"
#include "base/clock.h"
#include "cuda/device/call_timer.h"

#include <stdio.h>

typedef struct timing {
    call_timer timer;
    ls_error *refused; /* the first of all runs' */
    void *memory;      /* of all `pointers` */
    dnn_pointers pointers;
} timing;

enum { ALIGNMENT = 256 };

/* Where the next part of the memory begins. */
static size_t next(size_t *used, size_t bytes) {
    size_t at = *used;
    *used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

/* Room for a tensor in our memory, whatever the form of the graph. */
static size_t bytes_of(const dnn_tensor *tensor) {
    size_t element = dtype_bytes(tensor->type), stored = dtype_bytes(tensor->stored);
    return dnn_tensor_extent(tensor) * (stored > element ? stored : element);
}

static int allocate(timing *self, const dnn_run *run, size_t workspace_bytes, ls_error *error) {
    const dnn_graph *graph = run->graph;
    size_t used = 0, at[DNN_MOST_ADDRESSES];
    for (int index = 0; index < graph->tensor_count; index++)
        if (graph->tensors[index].kind != DNN_SCALAR)
            at[index] = next(&used, bytes_of(&graph->tensors[index]));
    size_t workspace = next(&used, workspace_bytes);
    char what[64];
    snprintf(what, sizeof what, "timing a %s", run->problem->what);
    LS_TRY(self->timer.device->is->allocate(self->timer.device, used, what, &self->memory, error));
    for (int index = 0; index < graph->tensor_count; index++)
        if (graph->tensors[index].kind != DNN_SCALAR)
            self->pointers.at[graph->tensors[index].slot] = (char *)self->memory + at[index];
    self->pointers.workspace = (char *)self->memory + workspace;
    self->pointers.low = ~0u; /* as a step has it: a cast is counted where it stays */
    return LS_OK;
}

static int timing_open(timing *self, cuda_device *device, const dnn_run *runs, int count,
                       ls_error *error) {
    size_t workspace = 0;
    for (int index = 0; index < count; index++)
        if (runs[index].workspace_bytes > workspace)
            workspace = runs[index].workspace_bytes;
    LS_TRY(call_timer_open(device, &self->timer, error));
    return allocate(self, &runs[0], workspace, error);
}

static int timing_end(timing *self, int status, ls_error *error) {
    device *device = self->timer.device;
    status = call_timer_close(&self->timer, status, error);
    device->is->release(device, self->memory);
    return status;
}

typedef struct run_call {
    dnn_run *run;
    const dnn_pointers *pointers;
} run_call;

static int execute(void *context, cudaStream_t stream, ls_error *error) {
    const run_call *self = context;
    bool refused; /* any failure means that the run is no choice */
    return dnn_run_execute(self->run, stream, self->pointers, &refused, error);
}

static void refuse(timing *self, const dnn_run *run, const ls_error *why) {
    cudaGetLastError(); /* the library's: the next call is not blamed */
    device_remark(&self->timer.device->refusals, "%s %s: engine %lld: %s", run->problem->what,
                  run->problem->key, (long long)run->choice.engine.index, why->text);
    ls_fail(self->refused, LS_FAILED, "engine %lld: %s", (long long)run->choice.engine.index,
            why->text);
}

static void time_all(timing *self, dnn_run *runs, int count, dnn_timing *out) {
    double start = clock_seconds(), seconds;
    for (int index = 0; index < count; index++) {
        run_call context = {&runs[index], &self->pointers};
        timed_call call = {execute, &context};
        ls_error why = {0};
        if (index == 0 && !out->quick)
            call_timer_raise_clocks(&self->timer, &call);
        if (index > 0 && clock_seconds() - start > DNN_TIMING_SECONDS)
            break;
        if (call_timer_measure(&self->timer, &call, out->quick, &seconds, &why) != LS_OK) {
            refuse(self, &runs[index], &why);
            continue;
        }
        if (out->timed == 0 || seconds < out->fastest) {
            out->best = index;
            out->fastest = seconds;
        }
        if (seconds > out->slowest)
            out->slowest = seconds;
        out->timed++;
    }
}

int dnn_time(cuda_device *device, dnn_run *runs, int count, dnn_timing *out, ls_error *refused,
             ls_error *error) {
    timing self = {.refused = refused};
    *out = (dnn_timing){.quick = out->quick, .best = -1};
    int status = timing_open(&self, device, runs, count, error);
    if (status == LS_OK)
        time_all(&self, runs, count, out);
    return timing_end(&self, status, error);
}

int dnn_try(cuda_device *device, dnn_run *runs, int count, int *first, ls_error *refused,
            ls_error *error) {
    timing self = {.refused = refused};
    *first = -1;
    int status = timing_open(&self, device, runs, count, error);
    for (int index = 0; status == LS_OK && *first < 0 && index < count; index++) {
        run_call context = {&runs[index], &self.pointers};
        timed_call call = {execute, &context};
        ls_error why = {0};
        if (call_timer_try(&self.timer, &call, &why) == LS_OK)
            *first = index;
        else
            refuse(&self, &runs[index], &why);
    }
    return timing_end(&self, status, error);
}
