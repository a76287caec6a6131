#include "monitor/series.h"

#include <stdlib.h>

int series_open(series *self, size_t capacity, ls_error *error) {
    capacity = capacity < 2 ? 2 : capacity;
    *self = (series){.capacity = capacity, .stride = 1};
    self->samples = calloc(capacity, sizeof *self->samples);
    return self->samples ? LS_OK : ls_fail(error, LS_FAILED, "monitor: out of memory");
}

void series_close(series *self) {
    free(self->samples);
    *self = (series){0};
}

static void thin_out(series *self) {
    size_t kept = 0;
    for (size_t index = 0; index < self->count; index++) {
        if (index % 2 == 0)
            self->samples[kept++] = self->samples[index];
        else if (index + 1 < self->count)
            self->samples[index + 1].throttle_reasons |= self->samples[index].throttle_reasons;
        else
            self->reasons |= self->samples[index].throttle_reasons;
    }
    self->skipped += self->count % 2 == 0 ? self->stride : 0;
    self->count = kept;
    self->stride *= 2;
}

void series_add(series *self, const usage_sample *sample) {
    self->reasons |= sample->throttle_reasons;
    if (self->count > 0 && ++self->skipped < self->stride)
        return;
    if (self->count == self->capacity) {
        thin_out(self);
        if (self->skipped < self->stride)
            return;
    }
    self->samples[self->count] = *sample;
    self->samples[self->count++].throttle_reasons = self->reasons;
    self->reasons = 0;
    self->skipped = 0;
}
