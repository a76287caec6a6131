/* What of a store lies in its file, range by range. */
#include "mode/store_arrays.h"

#include <stdlib.h>
#include <string.h>

void store_file_close(store *self) {
    frames_destroy(self->frames);
    offload_close(self->file);
    self->frames = NULL;
    self->file = NULL;
}

/* ---- directly */

static size_t place_of(const held *range, size_t element) {
    return range->place + (element - range->base) * sizeof(float);
}

int store_file_read(const store *self, const held *range, store_span part, float *memory,
                    offload_ticket *out, ls_error *error) {
    offload_ticket ticket;
    if (!range->written) {
        memset(memory, 0, part.count * sizeof *memory);
        return LS_OK;
    }
    LS_TRY(offload_read(self->file, place_of(range, part.first), part.count * sizeof *memory,
                        memory, &ticket, error));
    if (!out)
        return offload_wait(self->file, ticket, error);
    *out = ticket;
    return LS_OK;
}

static int write_part(store *self, const held *range, store_span part, const float *memory,
                      ls_error *error) {
    offload_ticket ticket;
    LS_TRY(offload_write(self->file, place_of(range, part.first), part.count * sizeof *memory,
                         memory, &ticket, error));
    return offload_wait(self->file, ticket, error);
}

/* The rest of what is zero is to be zero when it counts as written. */
static int write_zeroes(store *self, held *range, ls_error *error) {
    float *zeroes = calloc(range->span.count, sizeof *zeroes);
    if (!zeroes)
        return ls_fail(error, LS_FAILED, "out of memory");
    int status = write_part(self, range, range->span, zeroes, error);
    free(zeroes);
    return status;
}

int store_file_write(store *self, held *range, store_span part, const float *memory,
                     ls_error *error) {
    frames_forget(self->frames); /* what was read ahead is old */
    if (!range->written && part.count < range->span.count)
        LS_TRY(write_zeroes(self, range, error));
    range->written = true;
    return write_part(self, range, part, memory, error);
}

int store_file_clear(store *self, held *range, ls_error *error) {
    (void)error;
    frames_forget(self->frames);
    range->written = false;
    return LS_OK;
}

/* ---- through frames */

frame_page store_file_page(const held *range) {
    size_t before = (range->span.first - range->base) * sizeof(float);
    return (frame_page){range->place + before, range->span.count * sizeof(float), before};
}

int store_file_lend(const store *self, held *range, bool reads, float **out, ls_error *error) {
    char *memory;
    frame_page page = store_file_page(range);
    LS_TRY(frames_lend(self->frames, page, reads && range->written, &memory, error));
    if (reads && !range->written)
        memset(memory, 0, page.bytes);
    memcpy(out, &memory, sizeof memory);
    return LS_OK;
}

int store_file_fingerprint(const store *self, device_stream *stream, const held *range,
                           fingerprint *out, ls_error *error) {
    device *device = self->settings.device;
    held copy = *range;
    float *values;
    LS_TRY(store_file_lend(self, &copy, true, &values, error));
    LS_TRY(device->is->ops->fingerprint(device, stream, values, range->span.first,
                                        range->span.count, out, error));
    return frames_return(self->frames, (const char *)values, false, error);
}
