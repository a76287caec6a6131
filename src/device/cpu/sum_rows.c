/* The gradient of a linear layer's bias. */
#include "base/float16.h"
#include "device/cpu/cpu.h"

#include <string.h>

enum { STRIP = 64, MOST_ROWS = 256, LEAST_VALUES = 1 << 18 };

/* sums[count] += the rows from `row` to `end`, in order. Inlined with a constant `bf16`. */
static inline __attribute__((always_inline)) void add_rows(bool bf16, const void *restrict from,
                                                           size_t columns, size_t row, size_t end,
                                                           size_t count, float *restrict sums) {
    for (; row < end; row++)
        for (size_t i = 0; i < count; i++) {
            size_t at = row * columns + i;
            sums[i] +=
                bf16 ? bf16_to_float(((const uint16_t *)from)[at]) : ((const float *)from)[at];
        }
}

/* A strip of neighbouring columns; many rows (the tokens of a batch) in parts, of which each has
 * sums of its own, so that rounding grows with neither's number alone. */
static inline __attribute__((always_inline)) void
sum_strip(bool bf16, const void *from, float *to, size_t rows, size_t columns, size_t count) {
    float total[STRIP] = {0};
    for (size_t row = 0; row < rows; row += MOST_ROWS) {
        float sums[STRIP] = {0};
        add_rows(bf16, from, columns, row, rows - row < MOST_ROWS ? rows : row + MOST_ROWS, count,
                 sums);
        for (size_t i = 0; i < count; i++)
            total[i] += sums[i];
    }
    memcpy(to, total, count * sizeof *total);
}

static inline __attribute__((always_inline)) void sum_rows(bool bf16, const void *from, float *to,
                                                           size_t rows, size_t columns) {
    const char *bytes = from;
#pragma omp parallel for schedule(static) if (rows * columns >= LEAST_VALUES)
    for (size_t first = 0; first < columns; first += STRIP)
        sum_strip(bf16, bytes + first * (bf16 ? sizeof(uint16_t) : sizeof(float)), to + first, rows,
                  columns, columns - first < STRIP ? columns - first : STRIP);
}

void cpu_sum_rows(dtype type, const void *from, float *to, size_t rows, size_t columns) {
    if (type == DTYPE_BF16)
        sum_rows(true, from, to, rows, columns);
    else
        sum_rows(false, from, to, rows, columns);
}
