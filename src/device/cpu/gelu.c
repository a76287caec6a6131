/* GELU and its derivative (device/kinds/linear.h), fp32 or bf16, in either form: z times a curve
 * from 0 to 1. The bodies are inlined with a constant type and form. */
#include "device/cpu/cpu.h"
#include "device/cpu/exponential.h"
#include "device/cpu/values.h"

enum { CHUNK = 4096 };

/* The curve at z, and its derivative there: the normal distribution, or (1 + tanh u) / 2, which is
 * 1 / (1 + exp(-2u)). */
ALWAYS_INLINE void curve(bool by_tanh, const floats *z, floats *up_to, floats *density) {
    if (!by_tanh) {
        normal_distribution(z, up_to, density);
        *density *= 0.398942280f; /* 1 / sqrt(2 pi) */
        return;
    }
    const float twice = 1.59576912f, cube = 0.044715f; /* 2 sqrt(2 / pi) */
    floats square = *z * *z;
    words wide = (words)(square > 4096.0f); /* where the curve is 0 or 1 */
    square = (floats)(((words)square & ~wide) | ((words)((floats){0} + 4096.0f) & wide));
    floats v = -twice * (*z + cube * square * *z);
    words none = (words)(v > 80);
    v = (floats)((words)v & ~none);
    exponential(&v);
    *up_to = (floats)((words)(1 / (1 + v)) & ~none);
    *density = *up_to * (1 - *up_to) * twice * (1 + 3 * cube * square);
}

ALWAYS_INLINE void apply(bool bf16, bool by_tanh, const void *from, void *y, size_t at,
                         size_t lanes) {
    floats z = load_values(bf16, from, at, lanes), up_to, density;
    curve(by_tanh, &z, &up_to, &density);
    z *= up_to;
    store_values(bf16, false, y, at, lanes, &z);
}

ALWAYS_INLINE void derive(bool bf16, bool by_tanh, const void *dy, void *of, size_t at,
                          size_t lanes) {
    floats z = load_values(bf16, of, at, lanes), up_to, density;
    curve(by_tanh, &z, &up_to, &density);
    z = (up_to + z * density) * load_values(bf16, dy, at, lanes);
    store_values(bf16, false, of, at, lanes, &z);
}

/* dy NULL: y = the GELU of z; else z becomes its own gradient. */
ALWAYS_INLINE void chunk(bool bf16, bool by_tanh, void *z, void *y, const void *dy, size_t at,
                         size_t end) {
    for (; at < end; at += LANES) {
        size_t lanes = end - at < LANES ? end - at : LANES;
        if (dy && lanes == LANES)
            derive(bf16, by_tanh, dy, z, at, LANES);
        else if (dy)
            derive(bf16, by_tanh, dy, z, at, lanes);
        else if (lanes == LANES)
            apply(bf16, by_tanh, z, y, at, LANES);
        else
            apply(bf16, by_tanh, z, y, at, lanes);
    }
}

static void over_array(activation form, dtype type, size_t count, void *z, void *y,
                       const void *dy) {
    bool by_tanh = form == ACTIVATION_GELU_TANH, bf16 = type == DTYPE_BF16;
#pragma omp parallel for schedule(static)
    for (size_t first = 0; first < count; first += CHUNK) {
        size_t end = count - first < CHUNK ? count : first + CHUNK;
        if (bf16 && by_tanh)
            chunk(true, true, z, y, dy, first, end);
        else if (bf16)
            chunk(true, false, z, y, dy, first, end);
        else if (by_tanh)
            chunk(false, true, z, y, dy, first, end);
        else
            chunk(false, false, z, y, dy, first, end);
    }
}

void cpu_gelu(activation form, dtype type, size_t count, const void *z, void *y) {
    over_array(form, type, count, (void *)z, y, NULL);
}

void cpu_gelu_backward(activation form, dtype type, size_t count, const void *dy, void *z) {
    over_array(form, type, count, z, NULL, dy);
}
