#include "mode/slots.h"

#include "mode/store_memory.h"

#include <stdlib.h>

enum { GRAIN = 64 }; /* elements: an element lies as aligned as in the whole array */

static bool is_unit_border(const graph *graph, size_t element) {
    for (int unit = 0; unit < graph->unit_count; unit++)
        if (graph->units[unit].first == element)
            return true;
    return false;
}

static int units_below(const graph *graph, size_t element) {
    int count = 0;
    while (count < graph->unit_count && graph->units[count].first < element)
        count++;
    return count;
}

static void cut(const graph *graph, const bucket *buckets, int count, slots *self) {
    int begun = 0;
    for (int index = 0; index < count; index++) {
        if (!is_unit_border(graph, buckets[index].first))
            continue;
        size_t first = buckets[index].first, end = buckets[begun].first + buckets[begun].count;
        self->segments[self->segment_count++] = (segment){.first = first,
                                                          .count = end - first,
                                                          .units_end = units_below(graph, end),
                                                          .bucket = begun,
                                                          .buckets = index + 1 - begun};
        begun = index + 1;
    }
}

static size_t base_of(const segment *of) {
    return of->first / GRAIN * GRAIN;
}

static size_t elements_of(const segment *of) {
    return (of->first + of->count - base_of(of) + GRAIN - 1) / GRAIN * GRAIN;
}

static void lay_out(slots *self) {
    for (int slot = 0; slot < self->count; slot++) {
        size_t most = 0;
        for (int index = slot; index < self->segment_count; index += self->count)
            if (elements_of(&self->segments[index]) > most)
                most = elements_of(&self->segments[index]);
        self->first[slot + 1] = self->first[slot] + most;
    }
}

int slots_create(mode *mode, const bucket *buckets, int count, slots *out, ls_error *error) {
    *out = (slots){.store = mode->store, .segments = calloc((size_t)count, sizeof(segment))};
    if (!out->segments)
        return ls_fail(error, LS_FAILED, "out of memory");
    cut(mode->settings.graph, buckets, count, out);
    out->count = out->segment_count < SLOTS ? out->segment_count : SLOTS;
    lay_out(out);
    slots_forget(out);
    return store_take(mode->store, MEMORY_COMMUNICATION, true,
                      out->first[out->count] * sizeof *out->memory, "gradients on their way",
                      (void **)&out->memory, error);
}

/* Whichever share a slot: the SLOTS longest. */
size_t slots_most_bytes(const graph *graph, bucket_rule rule) {
    size_t longest[SLOTS] = {0}, sum = 0, end = graph->parameter_count;
    for (int unit = graph->unit_count - 1; unit >= 0; unit--) {
        size_t length = end - graph->units[unit].first;
        if (length < rule.worth && unit > 0)
            continue;
        end = graph->units[unit].first;
        for (int place = 0; place < SLOTS; place++)
            if (length > longest[place]) {
                size_t shorter = longest[place];
                longest[place] = length;
                length = shorter;
            }
    }
    for (int place = 0; place < SLOTS; place++)
        sum += longest[place] > 0 ? longest[place] + 2 * GRAIN : 0;
    return sum * sizeof(float);
}

void slots_destroy(slots *self) {
    if (self->memory)
        store_give_back(self->store, self->memory);
    free(self->segments);
    *self = (slots){0};
}

int slots_of_unit(const slots *self, int unit) {
    int segment = 0;
    while (segment + 1 < self->segment_count && unit < self->segments[segment + 1].units_end)
        segment++;
    return segment;
}

int slots_of_bucket(const slots *self, int bucket) {
    int segment = 0;
    while (bucket >= self->segments[segment].bucket + self->segments[segment].buckets)
        segment++;
    return segment;
}

int slots_before(const slots *self, int segment) {
    int held = self->held[segment % self->count];
    return held == segment ? -1 : held;
}

void slots_forget(slots *self) {
    for (int slot = 0; slot < SLOTS; slot++)
        self->held[slot] = -1;
}

void slots_give(slots *self, int segment) {
    self->held[segment % self->count] = segment;
}

float *slots_at(const slots *self, int segment, size_t element) {
    return self->memory + self->first[segment % self->count] +
           (element - base_of(&self->segments[segment]));
}
