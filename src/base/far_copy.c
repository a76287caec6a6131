#include "base/far_copy.h"

#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>

enum { VECTOR = sizeof(__m128i), LINE = 64 };

/* `to` at a line's start. */
static void copy_line(char *to, const char *from) {
    for (int at = 0; at < LINE; at += VECTOR)
        _mm_stream_si128((__m128i *)(void *)(to + at),
                         _mm_loadu_si128((const __m128i *)(const void *)(from + at)));
}

void far_copy(void *restrict to, const void *restrict from, size_t bytes) {
    char *target = to;
    const char *source = from;
    size_t head = (LINE - (uintptr_t)target % LINE) % LINE, at;
    head = head < bytes ? head : bytes;
    memcpy(target, source, head);
    for (at = head; bytes - at >= LINE; at += LINE)
        copy_line(target + at, source + at);
    _mm_sfence(); /* other threads see it after what comes next */
    memcpy(target + at, source + at, bytes - at);
}
#else
void far_copy(void *restrict to, const void *restrict from, size_t bytes) {
    memcpy(to, from, bytes);
}
#endif
