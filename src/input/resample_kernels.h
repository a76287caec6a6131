/* The passes of resample.c over pixels of 4 bytes, in plain C and in vectors of x86: the same bits
 * in each, for all of it is whole numbers. A value is (sum of weight * byte + 2^21) >> 22. */
#ifndef LOCKSTEP_INPUT_RESAMPLE_KERNELS_H
#define LOCKSTEP_INPUT_RESAMPLE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum { RESAMPLE_BITS = 22, RESAMPLE_HALF = 1 << (RESAMPLE_BITS - 1) };
/* resample_rows works on whole steps of so many bytes; so many rows are resampled at once. */
enum { RESAMPLE_STEP = 64, RESAMPLE_ROWS = 4 };

typedef struct resample_kernels {
    /* RESAMPLE_ROWS rows, `stride` bytes apart -> `outputs` pixels of each, `out_stride` apart.
     * Output x reads `count[x]` pixels from `first[x]` on, and the one behind where that is odd;
     * weights [outputs, most, 4], each four times, 0 behind the last; `most` is even. */
    void (*columns)(const uint8_t *source, size_t stride, int outputs, const int *first,
                    const int *count, const int32_t *weights, int most, uint8_t *out,
                    size_t out_stride);
    /* `count` rows of `stride` bytes -> one. */
    void (*rows)(const uint8_t *source, size_t stride, const int *weights, int count, uint8_t *out);
} resample_kernels;

/* What this processor has. */
const resample_kernels *resample_kernels_chosen(void);
/* Plain C, which the others are tested against. */
extern const resample_kernels resample_kernels_plain;

#endif
