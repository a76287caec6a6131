/* Writing past the caches: what is larger than a core's cache and only written costs half, for a
 * line that is overwritten whole need not be read first. */
#ifndef LOCKSTEP_DEVICE_CPU_STREAM_H
#define LOCKSTEP_DEVICE_CPU_STREAM_H

#include "device/cpu/vectors.h"

#include <stdbool.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

/* Whether an array of `bytes` is to be written past the caches: one from here on is too large for a
 * core's, and its lines must begin where a vector does. */
static inline bool stream_serves(const void *array, size_t bytes) {
    enum { FROM_BYTES = 4 << 20, LINE = 64 };
    return bytes >= FROM_BYTES && (uintptr_t)array % LINE == 0;
}

/* Past the caches; `to` is aligned to a vector. */
#if defined(__AVX512F__)
ALWAYS_INLINE void put_past_caches(float *to, const floats *value) {
    _mm512_stream_ps(to, (__m512)*value);
}
#elif defined(__AVX__)
ALWAYS_INLINE void put_past_caches(float *to, const floats *value) {
    _mm256_stream_ps(to, (__m256)*value);
}
#elif defined(__SSE2__)
ALWAYS_INLINE void put_past_caches(float *to, const floats *value) {
    _mm_stream_ps(to, (__m128)*value);
}
#else
ALWAYS_INLINE void put_past_caches(float *to, const floats *value) {
    *(floats_there *)to = *value;
}
#endif

ALWAYS_INLINE void put(bool streams, float *to, const floats *value) {
    if (streams)
        put_past_caches(to, value);
    else
        *(floats_there *)to = *value;
}

/* What was written past the caches is seen by all before what comes next: once on each thread. */
#ifdef __SSE2__
static inline void end_streams(bool streams) {
    if (streams)
        _mm_sfence();
}
#else
static inline void end_streams(bool streams) {
    (void)streams;
}
#endif

#endif
