/* Vectors of activations, fp32 or bf16, of a form of the loops (forms.h). `lanes` below LANES: the
 * first so many values; the others are loaded as zeros, and not stored. */
#ifndef LOCKSTEP_DEVICE_CPU_VALUES_H
#define LOCKSTEP_DEVICE_CPU_VALUES_H

#include "device/cpu/stream.h"
#include "device/cpu/vectors.h"

#include <stddef.h>
#include <string.h>

ALWAYS_INLINE floats load_floats(const float *from, size_t lanes) {
    floats out = {0};
    if (lanes == LANES)
        return *(const floats_there *)from;
    memcpy(&out, from, lanes * sizeof *from);
    return out;
}

ALWAYS_INLINE void store_floats(float *to, size_t lanes, const floats *value) {
    if (lanes == LANES)
        *(floats_there *)to = *value;
    else
        memcpy(to, value, lanes * sizeof *to);
}

/* Halves to words and back, as one instruction each: GNU C's conversion takes a vector apart. */
#if defined(__AVX512F__)
ALWAYS_INLINE words widened(const uint16_t *from) {
    return (words)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
}

ALWAYS_INLINE void narrow(bool streams, const words *value, uint16_t *to) {
    __m256i bits = _mm512_cvtepi32_epi16((__m512i)*value);
    if (streams)
        _mm256_stream_si256((__m256i *)to, bits);
    else
        _mm256_storeu_si256((__m256i *)to, bits);
}
#else
ALWAYS_INLINE words widened(const uint16_t *from) {
    return __builtin_convertvector(*(const halves_there *)from, words);
}

ALWAYS_INLINE void narrow(bool streams, const words *value, uint16_t *to) {
    (void)streams;
    *(halves_there *)to = __builtin_convertvector(*value, halves);
}
#endif

ALWAYS_INLINE floats load_values(bool bf16, const void *array, size_t index, size_t lanes) {
    uint16_t part[LANES] = {0};
    const uint16_t *from = (const uint16_t *)array + index;
    if (!bf16)
        return load_floats((const float *)array + index, lanes);
    if (lanes == LANES)
        return (floats)(widened(from) << 16);
    memcpy(part, from, lanes * sizeof *part);
    return (floats)(widened(part) << 16);
}

/* To the nearest, ties to even, as bf16_of_float (base/float16.h). */
ALWAYS_INLINE words rounded_to_bf16(const floats *value) {
    words bits = (words)*value;
    words rounded = (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
    words is_nan = (words)(*value != *value);
    return (quiet & is_nan) | (rounded & ~is_nan);
}

/* streams: past the caches, `lanes` being all. */
ALWAYS_INLINE void store_values(bool bf16, bool streams, void *array, size_t index, size_t lanes,
                                const floats *value) {
    if (!bf16 && streams) {
        put_past_caches((float *)array + index, value);
    } else if (!bf16) {
        store_floats((float *)array + index, lanes, value);
    } else {
        words bits = rounded_to_bf16(value);
        uint16_t part[LANES];
        narrow(streams && lanes == LANES, &bits, lanes == LANES ? (uint16_t *)array + index : part);
        if (lanes != LANES)
            memcpy((uint16_t *)array + index, part, lanes * sizeof *part);
    }
}

#endif
