/* A device: the only way to own memory that is computed on, or to compute. One device_interface an
 * implementation (ref, cpu, cuda), ended by a designated initialiser; src/device/device.c holds
 * the only list of them.
 *
 * Streams: work put into one stream runs in order; on ref and cpu a call returns when its work is
 * done, a stream is a token and events are always complete. Memory from allocate() may not be
 * touched by the host unless `host_addressable`. Errors: LS_BAD_LAUNCH for a device that is
 * missing, LS_FAILED while running. */
#ifndef LOCKSTEP_DEVICE_DEVICE_H
#define LOCKSTEP_DEVICE_DEVICE_H

#include "base/dtype.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct device device;
typedef struct device_stream device_stream;
typedef struct device_event device_event;
typedef struct ops ops; /* device/ops.h */

typedef enum { COPY_HOST_TO_DEVICE, COPY_DEVICE_TO_HOST, COPY_ON_DEVICE } copy_kind;

typedef struct device_request {
    int local_rank, local_size; /* which GPU of the node */
    int threads;                /* compute threads of this rank (cpu) */
    /* Called once on each compute thread (0 .. threads-1) to bind it to its core; may be NULL. */
    void (*bind_thread)(void *context, int thread);
    void *bind_context;
} device_request;

typedef struct device_facts {
    char name[128];    /* "Intel(R) Xeon(R) Processor", "NVIDIA H200" */
    char library[128]; /* "oneDNN 2.6.3 (AVX512_CORE)", "cuDNN 9.19, cuBLASLt 13.0" */
    bool host_addressable;
} device_facts;

typedef struct device_interface {
    const char *name; /* "ref", "cpu", "cuda" */
    const ops *ops;

    int (*open)(const device_request *request, device **out, ls_error *error);
    void (*close)(device *self);

    /* Zero-filled, aligned to 256 bytes, at least `bytes` long. Never in the hot loop. */
    int (*allocate)(device *self, size_t bytes, void **out, ls_error *error);
    void (*release)(device *self, void *memory);
    /* Host memory the device copies from and to quickly (pinned). */
    int (*host_allocate)(device *self, size_t bytes, void **out, ls_error *error);
    void (*host_release)(device *self, void *memory);

    int (*stream_create)(device *self, device_stream **out, ls_error *error);
    void (*stream_destroy)(device *self, device_stream *stream);
    int (*stream_synchronize)(device *self, device_stream *stream, ls_error *error);

    int (*event_create)(device *self, device_event **out, ls_error *error);
    void (*event_destroy)(device *self, device_event *event);
    int (*event_record)(device *self, device_event *event, device_stream *stream, ls_error *error);
    int (*event_query)(device *self, device_event *event, bool *done, ls_error *error);
    int (*stream_wait_event)(device *self, device_stream *stream, device_event *event,
                             ls_error *error);

    /* Stream-ordered. */
    int (*copy)(device *self, device_stream *stream, void *to, const void *from, size_t bytes,
                copy_kind kind, ls_error *error);
    int (*fill_zero)(device *self, device_stream *stream, void *memory, size_t bytes,
                     ls_error *error);
} device_interface;

struct device {
    const device_interface *is;
    device_facts facts;
};

/* Opens by name. "auto": cuda where a GPU was granted (CUDA_VISIBLE_DEVICES, else Slurm's
 * SLURM_STEP_GPUS, names one) and works; cpu where none was granted; granted but unusable is
 * LS_BAD_LAUNCH, never a quiet cpu. */
int device_open(const char *name, const device_request *request, device **out, ls_error *error);
void device_close(device *self); /* NULL is fine */

#endif
