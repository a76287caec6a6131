#include "input/resample_kernels.h"

enum { PIXEL = 4 };

static void columns_of_row(const uint8_t *source, int outputs, const int *first, const int *count,
                           const int32_t *weights, int most, uint8_t *out) {
    for (int x = 0; x < outputs; x++, out += PIXEL) {
        const uint8_t *from = source + (size_t)first[x] * PIXEL;
        const int32_t *weight = weights + (size_t)x * (size_t)most * PIXEL;
        int32_t sum[PIXEL] = {RESAMPLE_HALF, RESAMPLE_HALF, RESAMPLE_HALF, RESAMPLE_HALF};
        for (int tap = 0; tap < count[x] * PIXEL; tap += PIXEL)
            for (int channel = 0; channel < PIXEL; channel++)
                sum[channel] += from[tap + channel] * weight[tap + channel];
        for (int channel = 0; channel < PIXEL; channel++)
            out[channel] = (uint8_t)(sum[channel] >> RESAMPLE_BITS);
    }
}

static void columns(const uint8_t *source, size_t stride, int outputs, const int *first,
                    const int *count, const int32_t *weights, int most, uint8_t *out,
                    size_t out_stride) {
    for (size_t row = 0; row < RESAMPLE_ROWS; row++)
        columns_of_row(source + row * stride, outputs, first, count, weights, most,
                       out + row * out_stride);
}

static void rows(const uint8_t *source, size_t stride, const int *weights, int count,
                 uint8_t *out) {
    for (size_t at = 0; at < stride; at += RESAMPLE_STEP) {
        int32_t sum[RESAMPLE_STEP];
        for (int lane = 0; lane < RESAMPLE_STEP; lane++)
            sum[lane] = RESAMPLE_HALF;
        for (int tap = 0; tap < count; tap++)
            for (int lane = 0; lane < RESAMPLE_STEP; lane++)
                sum[lane] += weights[tap] * source[(size_t)tap * stride + at + (size_t)lane];
        for (int lane = 0; lane < RESAMPLE_STEP; lane++)
            out[at + (size_t)lane] = (uint8_t)(sum[lane] >> RESAMPLE_BITS);
    }
}

const resample_kernels resample_kernels_plain = {.columns = columns, .rows = rows};
