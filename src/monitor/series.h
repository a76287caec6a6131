/* Samples in bounded memory: where they fill it, every second one is left out, and from then on
 * only every second (fourth, eighth, ...) is kept. Reasons of those left out go to the next one
 * that is kept. */
#ifndef LOCKSTEP_MONITOR_SERIES_H
#define LOCKSTEP_MONITOR_SERIES_H

#include "base/error.h"
#include "base/usage.h"

#include <stddef.h>

typedef struct series {
    usage_sample *samples; /* [capacity] */
    size_t capacity, count;
    size_t stride, skipped; /* one of `stride` is kept; left out since the last one */
    uint64_t reasons;       /* of those */
} series;

/* capacity: at least 2. */
int series_open(series *self, size_t capacity, ls_error *error);
void series_close(series *self);
void series_add(series *self, const usage_sample *sample);

#endif
