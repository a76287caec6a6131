/* Writing past the caches: what is larger than a core's cache and only written costs half, for a
 * line that is overwritten whole need not be read first. */
#ifndef LOCKSTEP_DEVICE_CPU_STREAM_H
#define LOCKSTEP_DEVICE_CPU_STREAM_H

#include "device/cpu/vectors.h"

#include <stdbool.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Whether an array of `bytes` is to be written past the caches: one from here on is too large for a
 * core's, and its lines must begin where a vector does. */
static inline bool stream_serves(const void *array, size_t bytes) {
    enum { FROM_BYTES = 4 << 20, LINE = 64 };
    return bytes >= FROM_BYTES && (uintptr_t)array % LINE == 0;
}

/* Where `streams`: past the caches, and `to` is aligned to 64 bytes. */
ALWAYS_INLINE void put16(bool streams, float *to, ints16 value) {
#ifdef __SSE2__
    const __m128i *quarters = (const __m128i *)&value;
    for (int quarter = 0; streams && quarter < 4; quarter++)
        _mm_stream_si128((__m128i *)to + quarter, quarters[quarter]);
    if (streams)
        return;
#endif
    *(ints16 *)to = value;
}

/* What was written past the caches is seen by all before what comes next: once on each thread. */
static inline void end_streams(bool streams) {
#ifdef __SSE2__
    if (streams)
        _mm_sfence();
#endif
}

#endif
