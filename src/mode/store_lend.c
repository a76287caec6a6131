/* What an update reads and writes is lent for it: where it lies, or, of what is out, in a frame. */
#include "mode/store_arrays.h"

#include <stdint.h>

int store_open_file(store *self, const char *folder, int frame_count, size_t frame_elements,
                    ls_error *error) {
    void *memory;
    size_t frame_bytes = store_frame_bytes(frame_elements);
    if (self->file_bytes == 0)
        return LS_OK;
    LS_TRY(offload_open(folder, self->file_bytes, &self->file, error));
    LS_TRY(store_take(self, MEMORY_COMMUNICATION, false, (size_t)frame_count * frame_bytes,
                      "frames of offloaded state", &memory, error));
    return frames_create(self->file, memory, frame_count, frame_bytes, &self->frames, error);
}

/* An element lies as aligned in it as in the whole array. */
size_t store_frame_bytes(size_t elements) {
    size_t room = elements + STORE_GRAIN;
    return (room + STORE_GRAIN - 1) / STORE_GRAIN * STORE_GRAIN * sizeof(float);
}

size_t store_file_bytes(const store *self) {
    return self->file_bytes;
}

offload_totals store_file_totals(const store *self) {
    return self->file ? offload_totals_of(self->file) : (offload_totals){0};
}

int store_fetched(const store *self, offload_ticket ticket, ls_error *error) {
    return ticket == 0 ? LS_OK : offload_wait(self->file, ticket, error);
}

size_t store_piece_end(const store *self, size_t element) {
    const array *of = &self->arrays[STORE_PARAMETERS];
    const held *range = store_range(of, element, 1);
    return range ? range->span.first + range->span.count : SIZE_MAX;
}

static held *range_out(const store *self, int kind, size_t element) {
    held *range = kind == STORE_BUFFERS ? NULL : store_range(&self->arrays[kind], element, 1);
    return range && range->out ? range : NULL;
}

int store_announce(const store *self, store_kinds reads, store_span span, ls_error *error) {
    for (size_t at = span.first, end = span.first + span.count; self->frames && at < end;
         at = store_piece_end(self, at))
        for (int kind = 0; kind < STORE_KINDS; kind++) {
            held *range = reads >> kind & 1 ? range_out(self, kind, at) : NULL;
            if (range && range->written)
                LS_TRY(frames_expect(self->frames, store_file_page(range), error));
        }
    return LS_OK;
}

/* The slice's array of a kind. */
static float **array_of(store_slice *slice, int kind) {
    return kind == STORE_PARAMETERS  ? &slice->parameters
           : kind == STORE_GRADIENTS ? &slice->gradients
           : kind == STORE_AVERAGE   ? &slice->average
                                     : &slice->moments[kind - STORE_MOMENTS];
}

int store_lend(store *self, store_kinds reads, store_kinds writes, store_span span,
               store_slice *out, ls_error *error) {
    *out = store_slice_of(self, span.first, span.count);
    for (int kind = 0; kind < STORE_KINDS; kind++) {
        held *range = (reads | writes) >> kind & 1 ? range_out(self, kind, span.first) : NULL;
        float *values;
        if (!range)
            continue;
        LS_TRY(store_file_lend(self, range, reads >> kind & 1, &values, error));
        *array_of(out, kind) = values - (range->span.first - range->base);
    }
    return LS_OK;
}

int store_return(store *self, store_kinds writes, const store_slice *slice, ls_error *error) {
    store_slice of = *slice;
    for (int kind = 0; kind < STORE_KINDS && self->frames; kind++) {
        held *range = range_out(self, kind, slice->span.first);
        if (!range || !*array_of(&of, kind))
            continue;
        bool written = writes >> kind & 1;
        const float *values = *array_of(&of, kind) + (range->span.first - range->base);
        range->written |= written;
        LS_TRY(frames_return(self->frames, (const char *)values, written, error));
    }
    return LS_OK;
}

int store_lend_update(store *self, int index, store_kinds reads, store_kinds writes,
                      store_slice *out, ls_error *error) {
    LS_TRY(store_announce(self, reads, self->updated[index], error));
    if (index + 1 < self->updated_count)
        LS_TRY(store_announce(self, reads, self->updated[index + 1], error));
    return store_lend(self, reads, writes, self->updated[index], out, error);
}
