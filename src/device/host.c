#include "device/host.h"
#include "base/clock.h"
#include "base/far_copy.h"
#include "base/local_limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Of what is passed over every step, in pages that a TLB holds all of. */
enum { HUGE_PAGE = 2 << 20 };

int host_allocate(device *self, size_t bytes, const char *what, void **out, ls_error *error) {
    size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : 256;
    size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    *out = rounded < bytes ? NULL : aligned_alloc(alignment, rounded ? rounded : 256);
    if (!*out) {
        char hint[128];
        limits_hint(ENOMEM, hint, sizeof hint);
        return ls_fail(error, LS_FAILED, "device %s: out of memory: %zu bytes for %s%s",
                       self->is->name, bytes, what, hint);
    }
#ifdef MADV_HUGEPAGE
    /* A wish: a kernel without them refuses. What is left of the last one lies in small pages, so
     * that nothing is resident but what was asked for. */
    if (alignment == HUGE_PAGE)
        madvise(*out, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    memset(*out, 0, (bytes + 255) / 256 * 256);
    return LS_OK;
}

int host_allocate_host(device *self, size_t bytes, void **out, ls_error *error) {
    return host_allocate(self, bytes, "the host", out, error);
}

void host_release(device *self, void *memory) {
    (void)self;
    free(memory);
}

struct device_event {
    double seconds; /* the clock at record */
};

/* There is nothing to remember of a stream. */
int host_stream_create(device *self, device_stream **out, ls_error *error) {
    (void)error;
    *out = (device_stream *)self;
    return LS_OK;
}

void host_stream_destroy(device *self, device_stream *stream) {
    (void)self, (void)stream;
}

int host_stream_synchronize(device *self, device_stream *stream, ls_error *error) {
    (void)self, (void)stream, (void)error;
    return LS_OK;
}

int host_event_create(device *self, device_event **out, ls_error *error) {
    *out = calloc(1, sizeof **out);
    return *out ? LS_OK : ls_fail(error, LS_FAILED, "device %s: out of memory", self->is->name);
}

void host_event_destroy(device *self, device_event *event) {
    (void)self;
    free(event);
}

int host_event_record(device *self, device_event *event, device_stream *stream, ls_error *error) {
    (void)self, (void)stream, (void)error;
    event->seconds = clock_seconds();
    return LS_OK;
}

int host_event_query(device *self, device_event *event, bool *done, ls_error *error) {
    (void)self, (void)event, (void)error;
    *done = true;
    return LS_OK;
}

int host_event_synchronize(device *self, device_event *event, ls_error *error) {
    (void)self, (void)event, (void)error;
    return LS_OK;
}

int host_event_seconds(device *self, device_event *from, device_event *to, double *out,
                       ls_error *error) {
    (void)self, (void)error;
    *out = to->seconds - from->seconds;
    return LS_OK;
}

int host_stream_wait_event(device *self, device_stream *stream, device_event *event,
                           ls_error *error) {
    (void)self, (void)stream, (void)event, (void)error;
    return LS_OK;
}

int host_copy(device *self, device_stream *stream, void *to, const void *from, size_t bytes,
              copy_kind kind, ls_error *error) {
    enum { MUCH = 1 << 20 }; /* a checkpoint's, which the disk will read */
    (void)self, (void)stream, (void)error;
    if (kind == COPY_DEVICE_TO_HOST && bytes >= MUCH)
        far_copy(to, from, bytes);
    else if (bytes)
        memmove(to, from, bytes);
    return LS_OK;
}

int host_fill_zero(device *self, device_stream *stream, void *memory, size_t bytes,
                   ls_error *error) {
    (void)self, (void)stream, (void)error;
    if (bytes)
        memset(memory, 0, bytes);
    return LS_OK;
}

/* Atomic: a watcher is another thread. */
int host_write_word(device *self, device_stream *stream, uint32_t *word, uint32_t value,
                    ls_error *error) {
    (void)self, (void)stream, (void)error;
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    return LS_OK;
}
