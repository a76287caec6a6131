/* GELU and its derivative (device/kinds/linear.h), fp32 or bf16. The bodies are inlined with a
 * constant type. */
#include "device/cpu/cpu.h"
#include "device/cpu/exponential.h"
#include "device/cpu/values.h"

enum { CHUNK = 4096 };

ALWAYS_INLINE void apply(bool bf16, const void *from, void *y, size_t at, size_t lanes) {
    floats z = load_values(bf16, from, at, lanes), up_to, bell;
    normal_distribution(&z, &up_to, &bell);
    z *= up_to;
    store_values(bf16, false, y, at, lanes, &z);
}

ALWAYS_INLINE void derive(bool bf16, const void *dy, void *of, size_t at, size_t lanes) {
    const float density = 0.398942280f; /* 1 / sqrt(2 pi) */
    floats z = load_values(bf16, of, at, lanes), up_to, bell;
    normal_distribution(&z, &up_to, &bell);
    z = (up_to + z * bell * density) * load_values(bf16, dy, at, lanes);
    store_values(bf16, false, of, at, lanes, &z);
}

/* dy NULL: y = the GELU of z; else z becomes its own gradient. */
ALWAYS_INLINE void chunk(bool bf16, void *z, void *y, const void *dy, size_t at, size_t end) {
    for (; at < end; at += LANES) {
        size_t lanes = end - at < LANES ? end - at : LANES;
        if (dy && lanes == LANES)
            derive(bf16, dy, z, at, LANES);
        else if (dy)
            derive(bf16, dy, z, at, lanes);
        else if (lanes == LANES)
            apply(bf16, z, y, at, LANES);
        else
            apply(bf16, z, y, at, lanes);
    }
}

static void over_array(dtype type, size_t count, void *z, void *y, const void *dy) {
#pragma omp parallel for schedule(static)
    for (size_t first = 0; first < count; first += CHUNK) {
        size_t end = count - first < CHUNK ? count : first + CHUNK;
        if (type == DTYPE_BF16)
            chunk(true, z, y, dy, first, end);
        else
            chunk(false, z, y, dy, first, end);
    }
}

void cpu_gelu(dtype type, size_t count, const void *z, void *y) {
    over_array(type, count, (void *)z, y, NULL);
}

void cpu_gelu_backward(dtype type, size_t count, const void *dy, void *z) {
    over_array(type, count, z, NULL, dy);
}
