/* What computes on this rank: cores, the device and its streams, and that by which a watcher sees
 * how far the device's stream has come. */
#ifndef LOCKSTEP_TRAIN_ENGINE_H
#define LOCKSTEP_TRAIN_ENGINE_H

#include "device/device.h"
#include "device/step_state.h"
#include "launch/launch.h"
#include "train/train.h"

typedef struct engine engine;

/* What a watcher sees, in pinned memory. */
typedef struct step_progress {
    step_state state; /* as the last step that ended left it: its update writes it */
    const engine *of;
} step_progress;

struct engine {
    launch_binding binding;
    device *device;
    device_stream *stream, *update_stream; /* the second may be the first */
    size_t free_bytes; /* of the device, before anything was allocated; 0: no limit of its own */
    step_progress *progress; /* pinned; NULL: nobody watches */
    device_event *put;       /* behind the latest step in `stream` */
};

/* Binds this rank to its cores and opens its device. plan_cache: a file, or "". */
int engine_open(engine *self, launch *me, const train_settings *settings, const char *plan_cache,
                ls_error *error);
void engine_close(engine *self); /* zero bytes are fine */

/* From here on a watcher may look: comm_settings.progress and its two functions. */
int engine_watch(engine *self, ls_error *error);
bool engine_progress_busy(const volatile void *progress);
void engine_progress_describe(const volatile void *progress, char *out, size_t capacity);

/* A step was put into the stream: until that has come behind it, the device is busy. */
int engine_step_put(const engine *self, ls_error *error);
/* Of a step whose update does not show its state: a copy, in stream order. */
int engine_show(const engine *self, const step_state *state, ls_error *error);

#endif
