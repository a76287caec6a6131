#include "mode/store_arrays.h"

#include <stdlib.h>
#include <string.h>

const char *memory_kind_name(memory_kind use) {
    static const char *const names[MEMORY_KINDS] = {
        [MEMORY_PARAMETERS] = "parameters",       [MEMORY_GRADIENTS] = "gradients",
        [MEMORY_OPTIMIZER] = "optimizer",         [MEMORY_PACKED] = "packed copies",
        [MEMORY_ACTIVATIONS] = "activations",     [MEMORY_WORKSPACE] = "workspace",
        [MEMORY_COMMUNICATION] = "communication",
    };
    return names[use];
}

int store_create(const store_settings *settings, store **out, ls_error *error) {
    store *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->settings = *settings;
    *out = self;
    return LS_OK;
}

/* Of the comm, or of the device. */
static int allocate(const store *self, bool of_comm, size_t bytes, const char *what, void **out,
                    ls_error *error) {
    comm *comm = self->settings.comm;
    device *device = self->settings.device;
    return of_comm && comm ? comm->is->allocate(comm, bytes, what, out, error)
                           : device->is->allocate(device, bytes, what, out, error);
}

static void release(const store *self, bool of_comm, void *memory) {
    comm *comm = self->settings.comm;
    device *device = self->settings.device;
    if (memory && of_comm && comm)
        comm->is->release(comm, memory);
    else if (memory)
        device->is->release(device, memory);
}

void store_destroy(store *self) {
    if (!self)
        return;
    store_file_close(self);
    for (int kind = 0; kind < STORE_KINDS; kind++) {
        array *each = &self->arrays[kind];
        release(self, each->of_comm, each->memory);
        free(each->ranges);
        free(each->spans);
    }
    for (int index = 0; index < self->taken_count; index++)
        release(self, self->taken[index].of_comm, self->taken[index].memory);
    free(self->taken);
    free(self->updated);
    free(self);
}

static int moments_of(const store *self) {
    int count = 0;
    while (self->settings.moments && self->settings.moments[count])
        count++;
    return count;
}

const char *store_name(const store *self, store_kind kind) {
    static const char *const names[] = {"parameters", "gradients", "buffers", "average"};
    int moment = (int)kind - STORE_MOMENTS;
    return moment < 0                  ? names[kind]
           : moment < moments_of(self) ? self->settings.moments[moment]
                                       : "unused moments";
}

bool store_is_state(store_kind kind) {
    return kind != STORE_GRADIENTS;
}

/* Lanes write into rows of their own where each finds a place for all of the array. */
static size_t rows_of(const store *self, store_kind kind) {
    bool has_rows = kind == STORE_GRADIENTS || kind == STORE_BUFFERS;
    return has_rows && !self->arrays[kind].paged && store_is_whole(self, kind)
               ? (size_t)self->settings.rows
               : 1;
}

static size_t round_down(size_t element) {
    return element / STORE_GRAIN * STORE_GRAIN;
}

static size_t round_up(size_t elements) {
    return round_down(elements + STORE_GRAIN - 1);
}

size_t store_length(const store *self, store_kind kind) {
    const store_settings *s = &self->settings;
    if (kind == STORE_BUFFERS)
        return s->buffer_count;
    bool kept = kind == STORE_AVERAGE ? s->averages : (int)kind - STORE_MOMENTS < moments_of(self);
    return kept ? s->parameter_count : 0;
}

/* The last row ends with its last element. */
size_t store_whole_bytes(size_t elements, size_t rows) {
    return elements == 0 ? 0 : ((rows - 1) * round_up(elements) + elements) * sizeof(float);
}

size_t store_bytes(const store *self, store_kind kind) {
    return store_whole_bytes(self->arrays[kind].elements, rows_of(self, kind));
}

size_t store_row_stride(const store *self, store_kind kind) {
    return round_up(self->arrays[kind].elements);
}

/* `out`: of each span, whether it lies in the file; NULL: none does. */
static int place_ranges(store *owner, array *self, const store_span *spans, const bool *out,
                        int count, ls_error *error) {
    self->ranges = calloc((size_t)count, sizeof *self->ranges);
    self->spans = calloc((size_t)count, sizeof *self->spans);
    if (!self->ranges || !self->spans)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int index = 0; index < count; index++) {
        size_t base = round_down(spans[index].first);
        size_t elements = spans[index].first - base + spans[index].count;
        held *made = &self->ranges[index];
        self->spans[index] = spans[index];
        *made = (held){.span = spans[index], .base = base, .out = out && out[index]};
        made->place = made->out ? owner->file_bytes : round_up(self->elements);
        if (made->out)
            owner->file_bytes += round_up(elements) * sizeof(float);
        else
            self->elements = made->place + elements;
    }
    self->count = count;
    return LS_OK;
}

static int hold(store *self, store_kind kind, bool of_comm, const store_span *spans,
                const bool *out, int count, ls_error *error) {
    array *made = &self->arrays[kind];
    if (count == 0)
        return LS_OK;
    LS_TRY(place_ranges(self, made, spans, out, count, error));
    made->of_comm = of_comm;
    if (made->elements == 0)
        return LS_OK;
    return allocate(self, of_comm, store_bytes(self, kind), store_name(self, kind),
                    (void **)&made->memory, error);
}

/* What ranks exchange is the comm's. */
int store_hold(store *self, store_kind kind, const store_span *spans, int count, ls_error *error) {
    return hold(self, kind, kind < STORE_AVERAGE, spans, NULL, count, error);
}

int store_hold_own(store *self, store_kind kind, const store_span *spans, int count,
                   ls_error *error) {
    return hold(self, kind, false, spans, NULL, count, error);
}

int store_hold_paged(store *self, store_kind kind, const store_span *spans, const bool *out,
                     int count, ls_error *error) {
    self->arrays[kind].paged = true;
    return hold(self, kind, false, spans, out, count, error);
}

int store_hold_common(store *self, store_kind kind, const store_span *spans, int count,
                      ls_error *error) {
    comm *comm = self->settings.comm;
    array *made = &self->arrays[kind];
    void *memory = NULL;
    if (comm && comm->is->allocate_common)
        LS_TRY(comm->is->allocate_common(comm, store_whole_bytes(store_length(self, kind), 1),
                                         &memory, error));
    if (!memory)
        return store_hold_own(self, kind, spans, count, error);
    made->memory = memory;
    made->of_comm = made->common = true;
    LS_TRY(place_ranges(self, made, spans, NULL, count, error));
    for (int index = 0; index < count; index++)
        made->ranges[index].place = made->ranges[index].base;
    return LS_OK;
}

const float *store_common(const store *self, store_kind kind) {
    return self->arrays[kind].common ? self->arrays[kind].memory : NULL;
}

int store_take(store *self, memory_kind use, bool of_comm, size_t bytes, const char *what,
               void **out, ls_error *error) {
    taken *more = realloc(self->taken, (size_t)(self->taken_count + 1) * sizeof *more);
    if (!more)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->taken = more;
    LS_TRY(allocate(self, of_comm, bytes, what, out, error));
    self->taken[self->taken_count++] =
        (taken){.memory = *out, .use = use, .of_comm = of_comm, .bytes = bytes};
    return LS_OK;
}

void store_give_back(store *self, void *memory) {
    for (int index = 0; memory && index < self->taken_count; index++) {
        taken *each = &self->taken[index];
        if (each->memory != memory)
            continue;
        release(self, each->of_comm, memory);
        memmove(each, each + 1, (size_t)(self->taken_count - index - 1) * sizeof *each);
        self->taken_count--;
        return;
    }
}

size_t store_memory(const store *self, memory_kind use) {
    size_t bytes = 0;
    for (store_kind kind = 0; kind < STORE_KINDS; kind++) {
        memory_kind its = kind == STORE_GRADIENTS ? MEMORY_GRADIENTS
                          : kind >= STORE_AVERAGE ? MEMORY_OPTIMIZER
                                                  : MEMORY_PARAMETERS;
        bytes += its == use ? store_bytes(self, kind) : 0;
    }
    for (int index = 0; index < self->taken_count; index++)
        bytes += self->taken[index].use == use ? self->taken[index].bytes : 0;
    return bytes;
}

int store_update(store *self, const store_span *spans, int count, ls_error *error) {
    self->updated = calloc((size_t)count + 1, sizeof *spans);
    if (!self->updated)
        return ls_fail(error, LS_FAILED, "out of memory");
    memcpy(self->updated, spans, (size_t)count * sizeof *spans);
    self->updated_count = count;
    for (int moment = 0; moment < moments_of(self); moment++)
        if (self->arrays[STORE_MOMENTS + moment].count == 0)
            LS_TRY(store_hold(self, STORE_MOMENTS + (store_kind)moment, spans, count, error));
    return self->settings.averages && self->arrays[STORE_AVERAGE].count == 0
               ? store_hold(self, STORE_AVERAGE, spans, count, error)
               : LS_OK;
}

void store_expect(store *self, store_arrival arrive, void *context) {
    self->arrive = arrive;
    self->arrival_context = context;
}

int store_arrive(const store *self, ls_error *error) {
    return self->arrive ? self->arrive(self->arrival_context, error) : LS_OK;
}

static int arrive(const store *self, store_kind kind, ls_error *error) {
    return kind == STORE_PARAMETERS ? store_arrive(self, error) : LS_OK;
}

int store_hold_whole(store *self, store_kind kind, ls_error *error) {
    store_span whole = {0, store_length(self, kind)};
    return store_hold(self, kind, &whole, whole.count > 0, error);
}

int store_update_whole(store *self, ls_error *error) {
    store_span whole = {0, self->settings.parameter_count};
    return store_update(self, &whole, 1, error);
}

int store_spans(const store *self, store_kind kind, const store_span **out) {
    *out = self->arrays[kind].spans;
    return self->arrays[kind].count;
}

bool store_is_whole(const store *self, store_kind kind) {
    size_t held = 0;
    for (int index = 0; index < self->arrays[kind].count; index++)
        held += self->arrays[kind].spans[index].count;
    return held == store_length(self, kind);
}

float *store_exchange(store *self, store_kind kind, float *memory) {
    float *before = self->arrays[kind].memory;
    self->arrays[kind].memory = memory;
    return before;
}

/* ---- where things lie */

held *store_range(const array *self, size_t first, size_t count) {
    for (int index = 0; index < self->count; index++) {
        const store_span *span = &self->ranges[index].span;
        if (first >= span->first && first + count <= span->first + span->count)
            return &self->ranges[index];
    }
    return NULL;
}

static float *at(const array *self, const held *range, size_t element) {
    return self->memory + range->place + (element - range->base);
}

float *store_at(const store *self, store_kind kind, size_t first, size_t count) {
    const array *of = &self->arrays[kind];
    const held *range = store_range(of, first, count);
    return range && !range->out ? at(of, range, first) : NULL;
}

store_slice store_slice_of(const store *self, size_t first, size_t count) {
    store_slice slice = {.span = {first, count}};
    const held *ranges[STORE_KINDS];
    float *arrays[STORE_KINDS] = {NULL};
    for (int kind = 0; kind < STORE_KINDS; kind++) {
        ranges[kind] =
            kind == STORE_BUFFERS ? NULL : store_range(&self->arrays[kind], first, count);
        if (ranges[kind] && ranges[kind]->base > slice.origin)
            slice.origin = ranges[kind]->base;
    }
    for (int kind = 0; kind < STORE_KINDS; kind++)
        if (ranges[kind] && !ranges[kind]->out)
            arrays[kind] = at(&self->arrays[kind], ranges[kind], slice.origin);
    slice.parameters = arrays[STORE_PARAMETERS];
    slice.gradients = arrays[STORE_GRADIENTS];
    slice.average = arrays[STORE_AVERAGE];
    for (int moment = 0; moment < STORE_MAX_MOMENTS; moment++)
        slice.moments[moment] = arrays[STORE_MOMENTS + moment];
    return slice;
}

int store_slice_count(const store *self) {
    return self->updated_count;
}

store_span store_updated(const store *self, int index) {
    return self->updated[index];
}

/* ---- by kind and range */

store_span store_overlap(const held *range, store_span span) {
    size_t first = span.first > range->span.first ? span.first : range->span.first;
    size_t end = span.first + span.count, held_end = range->span.first + range->span.count;
    end = end < held_end ? end : held_end;
    return (store_span){first, end > first ? end - first : 0};
}

int store_write(store *self, device_stream *stream, store_kind kind, store_span span,
                const float *host, ls_error *error) {
    device *device = self->settings.device;
    const array *of = &self->arrays[kind];
    LS_TRY(arrive(self, kind, error));
    for (int index = 0; index < of->count; index++) {
        held *range = &of->ranges[index];
        store_span part = store_overlap(range, span);
        const float *from = host + (part.first - span.first);
        if (part.count == 0)
            continue;
        if (range->out)
            LS_TRY(store_file_write(self, range, part, from, error));
        else
            LS_TRY(device->is->copy(device, stream, at(of, range, part.first), from,
                                    part.count * sizeof *host, COPY_HOST_TO_DEVICE, error));
    }
    return device->is->stream_synchronize(device, stream, error);
}

/* With a ticket, what comes from the file is there when that was waited for. */
static int copy_out(const store *self, device_stream *stream, store_kind kind, store_span span,
                    float *out, copy_kind way, offload_ticket *ticket, ls_error *error) {
    device *device = self->settings.device;
    const array *of = &self->arrays[kind];
    LS_TRY(arrive(self, kind, error));
    for (int index = 0; index < of->count; index++) {
        const held *range = &of->ranges[index];
        store_span part = store_overlap(range, span);
        float *into = out + (part.first - span.first);
        if (part.count == 0)
            continue;
        if (range->out)
            LS_TRY(store_file_read(self, range, part, into, ticket, error));
        else
            LS_TRY(device->is->copy(device, stream, into, at(of, range, part.first),
                                    part.count * sizeof *out, way, error));
    }
    return LS_OK;
}

int store_read(const store *self, device_stream *stream, store_kind kind, store_span span,
               float *host, ls_error *error) {
    device *device = self->settings.device;
    LS_TRY(copy_out(self, stream, kind, span, host, COPY_DEVICE_TO_HOST, NULL, error));
    return device->is->stream_synchronize(device, stream, error);
}

int store_copy(const store *self, device_stream *stream, store_kind kind, store_span span,
               float *out, ls_error *error) {
    return copy_out(self, stream, kind, span, out, COPY_ON_DEVICE, NULL, error);
}

int store_fetch(const store *self, device_stream *stream, store_kind kind, store_span span,
                float *out, offload_ticket *ticket, ls_error *error) {
    *ticket = 0;
    return copy_out(self, stream, kind, span, out, COPY_ON_DEVICE, ticket, error);
}

int store_clear(store *self, device_stream *stream, store_kind kind, ls_error *error) {
    device *device = self->settings.device;
    const array *of = &self->arrays[kind];
    for (int index = 0; index < of->count; index++)
        if (of->ranges[index].out)
            LS_TRY(store_file_clear(self, &of->ranges[index], error));
    for (int index = 0; of->common && index < of->count; index++) /* the rest is others' */
        LS_TRY(device->is->fill_zero(device, stream,
                                     at(of, &of->ranges[index], of->spans[index].first),
                                     of->spans[index].count * sizeof(float), error));
    if (!of->memory || of->common)
        return LS_OK;
    return device->is->fill_zero(device, stream, of->memory, store_bytes(self, kind), error);
}

/* Floats of each of two kinds that lie in host memory at once. */
enum { SWAPPED_AT_ONCE = 1 << 18 };

static int swap_span(store *self, device_stream *stream, store_kind a, store_kind b,
                     store_span span, float *host, ls_error *error) {
    for (size_t at = 0; at < span.count; at += SWAPPED_AT_ONCE) {
        size_t left = span.count - at;
        store_span part = {span.first + at, left < SWAPPED_AT_ONCE ? left : SWAPPED_AT_ONCE};
        LS_TRY(store_read(self, stream, a, part, host, error));
        LS_TRY(store_read(self, stream, b, part, host + part.count, error));
        LS_TRY(store_write(self, stream, a, part, host + part.count, error));
        LS_TRY(store_write(self, stream, b, part, host, error));
    }
    return LS_OK;
}

int store_swap(store *self, device_stream *stream, store_kind a, store_kind b, ls_error *error) {
    const store_span *spans;
    int count = store_spans(self, a, &spans), status = LS_OK;
    float *host = malloc(2 * SWAPPED_AT_ONCE * sizeof *host);
    if (!host)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int index = 0; index < count && status == LS_OK; index++)
        status = swap_span(self, stream, a, b, spans[index], host, error);
    free(host);
    return status;
}

int store_fingerprint(const store *self, device_stream *stream, store_kind kind, fingerprint *out,
                      ls_error *error) {
    device *device = self->settings.device;
    const array *of = &self->arrays[kind];
    LS_TRY(arrive(self, kind, error));
    LS_TRY(device->is->fill_zero(device, stream, out, sizeof *out, error));
    for (int index = 0; index < of->count; index++) {
        const held *range = &of->ranges[index];
        store_span span = range->span;
        LS_TRY(range->out ? store_file_fingerprint(self, stream, range, out, error)
                          : device->is->ops->fingerprint(device, stream, at(of, range, span.first),
                                                         span.first, span.count, out, error));
    }
    return LS_OK;
}
