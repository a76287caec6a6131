#include "train/engine.h"
#include "base/thread.h"

#include <stdio.h>

typedef struct bind_context {
    const launch *me;
    const launch_binding *binding;
    ls_error error;
} bind_context;

static void bind_thread(void *context, int thread) {
    bind_context *self = context;
    ls_error error = {0};
    if (launch_bind_thread(self->me, self->binding, thread, &error) != LS_OK) {
#pragma omp critical
        self->error = error;
    }
}

static int open_streams(engine *self, const train_settings *settings, ls_error *error) {
    device *device = self->device;
    size_t total_bytes;
    if (device->is->memory)
        LS_TRY(device->is->memory(device, &self->free_bytes, &total_bytes, error));
    LS_TRY(device->is->check_precision(device, precision_of(settings->model.precision), error));
    LS_TRY(device->is->stream_create(device, &self->stream, error));
    self->update_stream = self->stream;
    if (!device->facts.asynchronous)
        return LS_OK;
    return device_stream_create(device, STREAM_LAST, &self->update_stream, error);
}

int engine_open(engine *self, launch *me, const train_settings *settings, const char *plan_cache,
                ls_error *error) {
    bind_context context = {.me = me, .binding = &self->binding};
    device_request request = {.local_rank = me->local_rank,
                              .local_size = me->local_size,
                              .bind_thread = bind_thread,
                              .bind_context = &context,
                              .share_gpu = settings->device.share_gpu,
                              .plan_cache = plan_cache,
                              .choosing_seconds = settings->plan_seconds,
                              .first_offer = settings->mode.strict};
    int gpu_node = device_numa_node(settings->device.device, &request);
    LS_TRY(launch_bind(me, (int)settings->device.threads, settings->device.oversubscribe, gpu_node,
                       &self->binding, error));
    request.threads = self->binding.threads;
    LS_TRY(thread_check("compute threads", request.threads - 1, error));
    LS_TRY(device_open(settings->device.device, &request, &self->device, error));
    if (context.error.code != LS_OK) {
        *error = context.error;
        return error->code;
    }
    return open_streams(self, settings, error);
}

void engine_close(engine *self) {
    device *device = self->device;
    if (self->update_stream && self->update_stream != self->stream)
        device->is->stream_destroy(device, self->update_stream);
    if (self->stream)
        device->is->stream_destroy(device, self->stream);
    if (self->put)
        device->is->event_destroy(device, self->put);
    if (self->progress)
        device->is->host_release(device, self->progress);
    device_close(device);
}

int engine_watch(engine *self, ls_error *error) {
    LS_TRY(self->device->is->host_allocate(self->device, sizeof *self->progress,
                                           (void **)&self->progress, error));
    self->progress->of = self;
    LS_TRY(device_order_create(self->device, &self->put, error));
    return engine_step_put(self, error);
}

bool engine_progress_busy(const volatile void *progress) {
    const engine *self = ((const volatile step_progress *)progress)->of;
    ls_error ignored = {0};
    bool done = false;
    int status = self->device->is->event_query(self->device, self->put, &done, &ignored);
    return status != LS_OK || !done;
}

void engine_progress_describe(const volatile void *progress, char *out, size_t capacity) {
    const volatile step_progress *at = progress;
    snprintf(out, capacity, "in step %lld", (long long)(at->state.step + at->state.skipped + 1));
}

int engine_step_put(const engine *self, ls_error *error) {
    if (!self->progress)
        return LS_OK;
    return self->device->is->event_record(self->device, self->put, self->stream, error);
}

int engine_show(const engine *self, const step_state *state, ls_error *error) {
    if (!self->progress)
        return LS_OK;
    return self->device->is->copy(self->device, self->stream, &self->progress->state, state,
                                  sizeof *state, COPY_DEVICE_TO_HOST, error);
}
