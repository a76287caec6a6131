/* What a step asks of its gradients: whether they are finite, and their norm. */
#include "device/cpu/cpu.h"

#include "base/float16.h"

enum { CHUNK = 16384 };

/* All ones in the exponent: infinite or NaN. */
static uint32_t not_finite(const float *values, size_t count) {
    uint32_t found = 0;
    for (size_t i = 0; i < count; i++)
        found |= (float_bits(values[i]) & 0x7F800000u) == 0x7F800000u;
    return found;
}

int cpu_check_finite(device *self, device_stream *stream, const float *values, size_t count,
                     step_state *state, ls_error *error) {
    (void)self, (void)stream, (void)error;
    uint32_t found = 0;
#pragma omp parallel for schedule(static) reduction(| : found)
    for (size_t first = 0; first < count; first += CHUNK)
        found |= not_finite(values + first, count - first < CHUNK ? count - first : CHUNK);
    if (found)
        state->overflow = 1;
    return LS_OK;
}

/* Eight sums side by side, in an order that no vector width changes. */
static double squares(const float *values, size_t count) {
    double sums[8] = {0}, rest = 0;
    size_t whole = count / 8 * 8;
    for (size_t i = 0; i < whole; i += 8)
        for (int k = 0; k < 8; k++)
            sums[k] += (double)values[i + (size_t)k] * (double)values[i + (size_t)k];
    for (size_t i = whole; i < count; i++)
        rest += (double)values[i] * (double)values[i];
    for (int k = 0; k < 8; k++)
        rest += sums[k];
    return rest;
}

int cpu_sums_of_squares(device *self, device_stream *stream, const float *values, size_t count,
                        double *out, ls_error *error) {
    (void)self, (void)stream, (void)error;
    size_t grains = squares_grains(count);
#pragma omp parallel for schedule(static)
    for (size_t grain = 0; grain < grains; grain++) {
        size_t first = grain * SQUARES_GRAIN, left = count - first;
        out[grain] = squares(values + first, left < SQUARES_GRAIN ? left : SQUARES_GRAIN);
    }
    return LS_OK;
}
