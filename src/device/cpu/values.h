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
        return *(const floats *)from;
    memcpy(&out, from, lanes * sizeof *from);
    return out;
}

ALWAYS_INLINE void store_floats(float *to, size_t lanes, const floats *value) {
    if (lanes == LANES)
        *(floats *)to = *value;
    else
        memcpy(to, value, lanes * sizeof *to);
}

ALWAYS_INLINE floats load_values(bool bf16, const void *array, size_t index, size_t lanes) {
    halves bits = {0};
    if (!bf16)
        return load_floats((const float *)array + index, lanes);
    if (lanes == LANES)
        bits = *(const halves *)((const uint16_t *)array + index);
    else
        memcpy(&bits, (const uint16_t *)array + index, lanes * sizeof(uint16_t));
    return (floats)(__builtin_convertvector(bits, words) << 16);
}

/* To the nearest, ties to even, as bf16_of_float (base/float16.h). */
ALWAYS_INLINE halves rounded_to_bf16(const floats *value) {
    words bits = (words)*value;
    words rounded = (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
    words is_nan = (words)((bits & 0x7FFFFFFFu) > 0x7F800000u);
    return __builtin_convertvector((quiet & is_nan) | (rounded & ~is_nan), halves);
}

/* streams: fp32, past the caches, `lanes` being all. */
ALWAYS_INLINE void store_values(bool bf16, bool streams, void *array, size_t index, size_t lanes,
                                const floats *value) {
    if (!bf16 && streams) {
        put_past_caches((float *)array + index, value);
    } else if (!bf16) {
        store_floats((float *)array + index, lanes, value);
    } else {
        halves bits = rounded_to_bf16(value);
        if (lanes == LANES)
            *(halves *)((uint16_t *)array + index) = bits;
        else
            memcpy((uint16_t *)array + index, &bits, lanes * sizeof(uint16_t));
    }
}

#endif
