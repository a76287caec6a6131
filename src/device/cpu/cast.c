/* Conversions of whole arrays between fp32, bf16 and fp16. */
#include "base/float16.h"
#include "device/cpu/cpu.h"

#include <string.h>

enum { CHUNK = 4096 }; /* elements at a time; between two other types they go through fp32 */

static void bf16_to_fp32(const uint16_t *restrict from, float *restrict to, size_t count) {
    for (size_t i = 0; i < count; i++)
        to[i] = bf16_to_float(from[i]);
}

void cpu_round_to_bf16(const float *restrict from, uint16_t *restrict to, size_t count) {
    for (size_t i = 0; i < count; i++)
        to[i] = bf16_of_float(from[i]);
}

static void to_fp32(dtype type, const void *from, float *to, size_t count) {
    if (type == DTYPE_BF16)
        bf16_to_fp32(from, to, count);
    else if (type == DTYPE_F32)
        memcpy(to, from, count * sizeof *to);
    else
        for (size_t i = 0; i < count; i++)
            to[i] = fp16_to_float(((const uint16_t *)from)[i]);
}

static void from_fp32(dtype type, const float *from, void *to, size_t count) {
    if (type == DTYPE_BF16)
        cpu_round_to_bf16(from, to, count);
    else if (type == DTYPE_F32)
        memcpy(to, from, count * sizeof *from);
    else
        for (size_t i = 0; i < count; i++)
            ((uint16_t *)to)[i] = fp16_of_float(from[i]);
}

static void cast_chunk(dtype from_type, const void *from, dtype to_type, void *to, size_t count) {
    float buffer[CHUNK];
    if (to_type == DTYPE_F32) {
        to_fp32(from_type, from, to, count);
    } else if (from_type == DTYPE_F32) {
        from_fp32(to_type, from, to, count);
    } else {
        to_fp32(from_type, from, buffer, count);
        from_fp32(to_type, buffer, to, count);
    }
}

static bool is_floating(dtype type) {
    return type == DTYPE_F32 || type == DTYPE_BF16 || type == DTYPE_F16;
}

int cpu_cast(device *self, device_stream *stream, size_t count, dtype from_type, const void *from,
             dtype to_type, void *to, ls_error *error) {
    (void)self, (void)stream;
    if (!is_floating(from_type) || !is_floating(to_type))
        return ls_fail(error, LS_FAILED, "device cpu: cast: no conversion from %s to %s",
                       dtype_name(from_type), dtype_name(to_type));
#pragma omp parallel for schedule(static)
    for (size_t first = 0; first < count; first += CHUNK) {
        size_t length = count - first < CHUNK ? count - first : CHUNK;
        cast_chunk(from_type, (const char *)from + first * dtype_bytes(from_type), to_type,
                   (char *)to + first * dtype_bytes(to_type), length);
    }
    return LS_OK;
}
