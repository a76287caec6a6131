/* Loops over whole arrays that oneDNN has no better form of. */
#include "device/cpu/cpu.h"

/* y may be dy. */
CPU_VECTORISED static void mask(const float *y, float *dy, size_t count) {
    for (size_t i = 0; i < count; i++)
        dy[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

CPU_VECTORISED static void sum(const float *restrict from, float *restrict to, size_t count) {
    for (size_t i = 0; i < count; i++)
        to[i] += from[i];
}

enum { CHUNK = 16384 };

int cpu_relu_backward(device *self, device_stream *stream, size_t count, dtype type, const void *y,
                      void *dy, ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(cpu_check_type("relu_backward", type, error));
#pragma omp parallel for schedule(static)
    for (size_t first = 0; first < count; first += CHUNK)
        mask((const float *)y + first, (float *)dy + first,
             count - first < CHUNK ? count - first : CHUNK);
    return LS_OK;
}

int cpu_add(device *self, device_stream *stream, size_t count, dtype type, const void *from,
            void *to, ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(cpu_check_type("add", type, error));
#pragma omp parallel for schedule(static)
    for (size_t first = 0; first < count; first += CHUNK)
        sum((const float *)from + first, (float *)to + first,
            count - first < CHUNK ? count - first : CHUNK);
    return LS_OK;
}
