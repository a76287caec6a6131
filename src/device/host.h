/* What the devices of the host share: work is done when a call returns, so a stream is a token and
 * an event a stamp of the clock. Contracts in device/device.h. */
#ifndef LOCKSTEP_DEVICE_HOST_H
#define LOCKSTEP_DEVICE_HOST_H

#include "device/device.h"
#include "device/epoch.h"
#include "device/mixing.h"

int host_allocate(device *self, size_t bytes, const char *what, void **out, ls_error *error);
int host_allocate_host(device *self, size_t bytes, void **out, ls_error *error);
void host_release(device *self, void *memory);

int host_stream_create(device *self, device_stream **out, ls_error *error);
void host_stream_destroy(device *self, device_stream *stream);
int host_stream_synchronize(device *self, device_stream *stream, ls_error *error);
int host_event_create(device *self, device_event **out, ls_error *error);
void host_event_destroy(device *self, device_event *event);
int host_event_record(device *self, device_event *event, device_stream *stream, ls_error *error);
int host_event_query(device *self, device_event *event, bool *done, ls_error *error);
int host_event_synchronize(device *self, device_event *event, ls_error *error);
int host_event_seconds(device *self, device_event *from, device_event *to, double *out,
                       ls_error *error);
int host_stream_wait_event(device *self, device_stream *stream, device_event *event,
                           ls_error *error);

int host_copy(device *self, device_stream *stream, void *to, const void *from, size_t bytes,
              copy_kind kind, ls_error *error);
int host_fill_zero(device *self, device_stream *stream, void *memory, size_t bytes,
                   ls_error *error);
int host_write_word(device *self, device_stream *stream, uint32_t *word, uint32_t value,
                    ls_error *error);

/* host_epoch.c: ops.begin_epoch. */
int host_begin_epoch(device *self, device_stream *stream, const epoch_arguments *arguments,
                     ls_error *error);

/* host_mix.c: ops.mix. */
int host_mix(device *self, device_stream *stream, const mix_arguments *arguments, ls_error *error);

/* These, as members of a device_interface. */
#define HOST_DEVICE_CALLS                                                                          \
    .allocate = host_allocate, .release = host_release, .host_allocate = host_allocate_host,       \
    .host_release = host_release, .stream_create = host_stream_create,                             \
    .stream_destroy = host_stream_destroy, .stream_synchronize = host_stream_synchronize,          \
    .event_create = host_event_create, .event_destroy = host_event_destroy,                        \
    .event_record = host_event_record, .event_query = host_event_query,                            \
    .event_synchronize = host_event_synchronize, .event_seconds = host_event_seconds,              \
    .stream_wait_event = host_stream_wait_event, .copy = host_copy, .fill_zero = host_fill_zero,   \
    .write_word = host_write_word

#endif
