/* Memory, streams and events of the `ref` device. All work is done when a call returns, so a
 * stream is a token and an event is always complete: a stamp of the clock. */
#include "device/ref/ref.h"
#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

static char token; /* what every stream points to: nothing to remember */

struct device_event {
    double seconds; /* the clock at record */
};

static int ref_describe(const device_request *request, device_facts *out, ls_error *error) {
    (void)request, (void)error;
    *out = (device_facts){.name = "plain C, one thread",
                          .library = "none (sums in double)",
                          .numa_node = -1,
                          .host_addressable = true};
    return LS_OK;
}

/* One thread, whatever is asked for. */
static int ref_open(const device_request *request, device **out, ls_error *error) {
    device *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "device ref: out of memory");
    self->is = &device_ref;
    *out = self;
    return ref_describe(request, &self->facts, error);
}

static void ref_close(device *self) {
    free(self);
}

static int ref_check_precision(device *self, precision wanted, ls_error *error) {
    (void)self;
    if (wanted != PRECISION_TF32)
        return LS_OK;
    return ls_fail(
        error, LS_BAD_LAUNCH,
        "--precision tf32: device ref computes in fp32, bf16 and fp16 (tf32 is a GPU's)");
}

static int ref_allocate(device *self, size_t bytes, const char *what, void **out, ls_error *error) {
    (void)self;
    size_t rounded = (bytes + 255) / 256 * 256;
    *out = rounded < bytes ? NULL : aligned_alloc(256, rounded ? rounded : 256);
    if (!*out)
        return ls_fail(error, LS_FAILED, "device ref: out of memory: %zu bytes for %s", bytes,
                       what);
    memset(*out, 0, rounded);
    return LS_OK;
}

static int ref_host_allocate(device *self, size_t bytes, void **out, ls_error *error) {
    return ref_allocate(self, bytes, "the host", out, error);
}

static void ref_release(device *self, void *memory) {
    (void)self;
    free(memory);
}

static int ref_stream_create(device *self, device_stream **out, ls_error *error) {
    (void)self, (void)error;
    *out = (device_stream *)&token;
    return LS_OK;
}

static void ref_stream_destroy(device *self, device_stream *stream) {
    (void)self, (void)stream;
}

static int ref_stream_synchronize(device *self, device_stream *stream, ls_error *error) {
    (void)self, (void)stream, (void)error;
    return LS_OK;
}

static int ref_event_create(device *self, device_event **out, ls_error *error) {
    (void)self;
    *out = calloc(1, sizeof **out);
    return *out ? LS_OK : ls_fail(error, LS_FAILED, "device ref: out of memory");
}

static void ref_event_destroy(device *self, device_event *event) {
    (void)self;
    free(event);
}

static int ref_event_record(device *self, device_event *event, device_stream *stream,
                            ls_error *error) {
    (void)self, (void)stream, (void)error;
    event->seconds = clock_seconds();
    return LS_OK;
}

static int ref_event_query(device *self, device_event *event, bool *done, ls_error *error) {
    (void)self, (void)event, (void)error;
    *done = true;
    return LS_OK;
}

static int ref_event_synchronize(device *self, device_event *event, ls_error *error) {
    (void)self, (void)event, (void)error;
    return LS_OK;
}

static int ref_event_seconds(device *self, device_event *from, device_event *to, double *out,
                             ls_error *error) {
    (void)self, (void)error;
    *out = to->seconds - from->seconds;
    return LS_OK;
}

static int ref_stream_wait_event(device *self, device_stream *stream, device_event *event,
                                 ls_error *error) {
    (void)self, (void)stream, (void)event, (void)error;
    return LS_OK;
}

static int ref_copy(device *self, device_stream *stream, void *to, const void *from, size_t bytes,
                    copy_kind kind, ls_error *error) {
    (void)self, (void)stream, (void)kind, (void)error;
    if (bytes)
        memmove(to, from, bytes);
    return LS_OK;
}

static int ref_fill_zero(device *self, device_stream *stream, void *memory, size_t bytes,
                         ls_error *error) {
    (void)self, (void)stream, (void)error;
    if (bytes)
        memset(memory, 0, bytes);
    return LS_OK;
}

/* Atomic: a watcher is another thread. */
static int ref_write_word(device *self, device_stream *stream, uint32_t *word, uint32_t value,
                          ls_error *error) {
    (void)self, (void)stream, (void)error;
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    return LS_OK;
}

const device_interface device_ref = {
    .name = "ref",
    .ops = &ops_ref,
    .open = ref_open,
    .describe = ref_describe,
    .close = ref_close,
    .check_precision = ref_check_precision,
    .allocate = ref_allocate,
    .release = ref_release,
    .host_allocate = ref_host_allocate,
    .host_release = ref_release,
    .stream_create = ref_stream_create,
    .stream_destroy = ref_stream_destroy,
    .stream_synchronize = ref_stream_synchronize,
    .event_create = ref_event_create,
    .event_destroy = ref_event_destroy,
    .event_record = ref_event_record,
    .event_query = ref_event_query,
    .event_synchronize = ref_event_synchronize,
    .event_seconds = ref_event_seconds,
    .stream_wait_event = ref_stream_wait_event,
    .copy = ref_copy,
    .fill_zero = ref_fill_zero,
    .write_word = ref_write_word,
};
