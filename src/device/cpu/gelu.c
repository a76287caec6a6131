/* GELU and its derivative (device/kinds/linear.h), fp32 or bf16, in either form: z times a curve
 * from 0 to 1. The bodies are inlined with a constant type and form. */
#include "device/cpu/cpu.h"
#include "device/cpu/exponential.h"
#include "device/cpu/values.h"

enum { CHUNK = 4096 };

/* The curve at `count` vectors z, a constant, and its derivative there: the normal distribution, or
 * (1 + tanh u) / 2, which is 1 / (1 + exp(-2u)). */
ALWAYS_INLINE void curves(bool by_tanh, const int count, const floats *z, floats *up_to,
                          floats *density) {
    const float twice = 1.59576912f, cube = 0.044715f; /* 2 sqrt(2 / pi) */
    floats square[EXPONENTIALS], v[EXPONENTIALS];
    words none[EXPONENTIALS];
    if (!by_tanh) {
        normal_distributions(count, z, up_to, density);
        CPU_UNROLL(4)
        for (int i = 0; i < count; i++)
            density[i] *= 0.398942280f; /* 1 / sqrt(2 pi) */
        return;
    }
    CPU_UNROLL(4)
    for (int i = 0; i < count; i++) {
        floats all = z[i] * z[i];
        words wide = (words)(all > 4096.0f); /* where the curve is 0 or 1 */
        square[i] = (floats)(((words)all & ~wide) | ((words)((floats){0} + 4096.0f) & wide));
        floats slope = -twice * (z[i] + cube * square[i] * z[i]);
        none[i] = (words)(slope > 80);
        v[i] = (floats)((words)slope & ~none[i]);
    }
    exponentials_of(count, v);
    CPU_UNROLL(4)
    for (int i = 0; i < count; i++) {
        up_to[i] = (floats)((words)(1 / (1 + v[i])) & ~none[i]);
        density[i] = up_to[i] * (1 - up_to[i]) * twice * (1 + 3 * cube * square[i]);
    }
}

/* `count` vectors from `at` on; of one, the first `lanes`. dy NULL: y = the GELU of z; else z
 * becomes its own gradient. */
ALWAYS_INLINE void vectors(bool bf16, bool by_tanh, bool derives, const int count, void *z, void *y,
                           const void *dy, size_t at, size_t lanes) {
    floats of[EXPONENTIALS], up_to[EXPONENTIALS], density[EXPONENTIALS];
    CPU_UNROLL(4)
    for (int i = 0; i < count; i++)
        of[i] = load_values(bf16, z, at + (size_t)i * LANES, lanes);
    curves(by_tanh, count, of, up_to, density);
    CPU_UNROLL(4)
    for (int i = 0; i < count; i++) {
        size_t here = at + (size_t)i * LANES;
        floats value = of[i] * up_to[i];
        if (derives)
            value = (up_to[i] + of[i] * density[i]) * load_values(bf16, dy, here, lanes);
        store_values(bf16, false, derives ? z : y, here, lanes, &value);
    }
}

ALWAYS_INLINE void chunk(bool bf16, bool by_tanh, bool derives, void *z, void *y, const void *dy,
                         size_t at, size_t end) {
    for (; at + EXPONENTIALS * LANES <= end; at += EXPONENTIALS * LANES)
        vectors(bf16, by_tanh, derives, EXPONENTIALS, z, y, dy, at, LANES);
    for (; at < end; at += LANES)
        vectors(bf16, by_tanh, derives, 1, z, y, dy, at, end - at < LANES ? end - at : LANES);
}

ALWAYS_INLINE void chunk_of(bool bf16, bool by_tanh, void *z, void *y, const void *dy, size_t at,
                            size_t end) {
    if (dy)
        chunk(bf16, by_tanh, true, z, y, dy, at, end);
    else
        chunk(bf16, by_tanh, false, z, y, NULL, at, end);
}

static void over_array(activation form, dtype type, size_t count, void *z, void *y,
                       const void *dy) {
    bool by_tanh = form == ACTIVATION_GELU_TANH, bf16 = type == DTYPE_BF16;
#pragma omp parallel for schedule(static)
    for (size_t first = 0; first < count; first += CHUNK) {
        size_t end = count - first < CHUNK ? count : first + CHUNK;
        if (bf16 && by_tanh)
            chunk_of(true, true, z, y, dy, first, end);
        else if (bf16)
            chunk_of(true, false, z, y, dy, first, end);
        else if (by_tanh)
            chunk_of(false, true, z, y, dy, first, end);
        else
            chunk_of(false, false, z, y, dy, first, end);
    }
}

void cpu_gelu(activation form, dtype type, size_t count, const void *z, void *y) {
    over_array(form, type, count, (void *)z, y, NULL);
}

void cpu_gelu_backward(activation form, dtype type, size_t count, const void *dy, void *z) {
    over_array(form, type, count, z, NULL, dy);
}
