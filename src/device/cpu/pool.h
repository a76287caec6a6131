/* What max pooling's two directions share. */
#ifndef LOCKSTEP_DEVICE_CPU_POOL_H
#define LOCKSTEP_DEVICE_CPU_POOL_H

#include "base/float16.h"
#include "device/cpu/cpu.h"

typedef struct pool_grid {
    size_t image, block, row, column; /* strides, in elements */
} pool_grid;

typedef struct pool_geometry {
    int group, blocks, out_height, out_width;
    pool_grid in, out;
} pool_geometry;

pool_geometry cpu_pool_geometry(const maxpool2d_shape *shape);

/* Strides, in elements, of the rows and columns of the input, and of the output's columns. */
typedef struct pool_steps {
    size_t row, column, out_column;
    int window;
} pool_steps;

pool_steps cpu_pool_steps(const maxpool2d_shape *shape, const pool_geometry *g);

/* Where row `index` of all rows of windows begins. */
typedef struct pool_place {
    size_t in, out, saved;
} pool_place;

pool_place cpu_pool_place(const maxpool2d_shape *shape, const pool_geometry *g, int index);

/* Vectors of GNU C: the compiler makes scalar branches of plain loops here, which took a quarter of
 * the step. A comparison gives a mask of ones or zeros. */
typedef float floats16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t ints16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t words16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int16_t shorts16 __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint16_t halves16 __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint8_t bytes16 __attribute__((vector_size(16), aligned(1), may_alias));

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE float load1(bool bf16, const void *array, size_t index) {
    return bf16 ? bf16_to_float(((const uint16_t *)array)[index]) : ((const float *)array)[index];
}

ALWAYS_INLINE void copy1(bool bf16, void *to, size_t to_index, const void *from, size_t index) {
    if (bf16)
        ((uint16_t *)to)[to_index] = ((const uint16_t *)from)[index];
    else
        ((float *)to)[to_index] = ((const float *)from)[index];
}

#endif
