/* Loops over whole arrays that oneDNN has no better form of. */
#include "base/float16.h"
#include "device/cpu/cpu.h"

/* y may be dy. */
static void mask(const float *y, float *dy, size_t count) {
    for (size_t i = 0; i < count; i++)
        dy[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

static void sum(const float *restrict from, float *restrict to, size_t count) {
    for (size_t i = 0; i < count; i++)
        to[i] += from[i];
}

/* Bits of a positive bf16: above zero, at most infinity (a NaN lies above it). */
static void mask_bf16(const int16_t *y, int16_t *dy, size_t count) {
    for (size_t i = 0; i < count; i++)
        dy[i] = y[i] > 0 && y[i] <= 0x7F80 ? dy[i] : 0;
}

static void sum_bf16(const uint16_t *restrict from, uint16_t *restrict to, size_t count) {
    for (size_t i = 0; i < count; i++)
        to[i] = bf16_of_float(bf16_to_float(to[i]) + bf16_to_float(from[i]));
}

/* y may not be a or b. */
static void add_two(const float *restrict a, const float *restrict b, bool relu, float *restrict y,
                    size_t count) {
    for (size_t i = 0; i < count; i++) {
        float sum = a[i] + b[i];
        y[i] = relu && !(sum > 0.0f) ? 0.0f : sum;
    }
}

static void add_two_bf16(const uint16_t *restrict a, const uint16_t *restrict b,
                         uint16_t *restrict y, size_t count) {
    for (size_t i = 0; i < count; i++)
        y[i] = bf16_of_float(bf16_to_float(a[i]) + bf16_to_float(b[i]));
}

enum { CHUNK = 16384 };

int cpu_relu_backward(device *self, device_stream *stream, size_t count, dtype type, const void *y,
                      void *dy, ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(cpu_check_type("relu_backward", type, error));
#pragma omp parallel for schedule(static)
    for (size_t first = 0; first < count; first += CHUNK) {
        size_t length = count - first < CHUNK ? count - first : CHUNK;
        if (type == DTYPE_BF16)
            mask_bf16((const int16_t *)y + first, (int16_t *)dy + first, length);
        else
            mask((const float *)y + first, (float *)dy + first, length);
    }
    return LS_OK;
}

int cpu_add(device *self, device_stream *stream, size_t count, dtype type, const void *from,
            void *to, ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(cpu_check_type("add", type, error));
#pragma omp parallel for schedule(static)
    for (size_t first = 0; first < count; first += CHUNK) {
        size_t length = count - first < CHUNK ? count - first : CHUNK;
        if (type == DTYPE_BF16)
            sum_bf16((const uint16_t *)from + first, (uint16_t *)to + first, length);
        else
            sum((const float *)from + first, (float *)to + first, length);
    }
    return LS_OK;
}

/* A chunk of bf16 is rounded, then masked by itself while it is in the cache. */
void cpu_add_two(dtype type, size_t count, const void *a, const void *b, bool relu, void *y) {
#pragma omp parallel for schedule(static)
    for (size_t first = 0; first < count; first += CHUNK) {
        size_t length = count - first < CHUNK ? count - first : CHUNK;
        if (type != DTYPE_BF16) {
            add_two((const float *)a + first, (const float *)b + first, relu, (float *)y + first,
                    length);
            continue;
        }
        add_two_bf16((const uint16_t *)a + first, (const uint16_t *)b + first,
                     (uint16_t *)y + first, length);
        if (relu)
            mask_bf16((const int16_t *)y + first, (int16_t *)y + first, length);
    }
}
