/* What max pooling's two directions share. */
#ifndef LOCKSTEP_DEVICE_CPU_POOL_H
#define LOCKSTEP_DEVICE_CPU_POOL_H

#include "base/float16.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vectors.h"

typedef struct pool_grid {
    size_t image, block, row, column; /* strides, in elements */
} pool_grid;

typedef struct pool_geometry {
    int group, blocks, out_height, out_width;
    pool_grid in, out;
} pool_geometry;

pool_geometry cpu_pool_geometry(const maxpool2d_shape *shape);

/* Strides, in elements, of the rows and columns of the input and of the output. */
typedef struct pool_steps {
    size_t row, column, out_row, out_column;
    int window;
} pool_steps;

pool_steps cpu_pool_steps(const maxpool2d_shape *shape, const pool_geometry *g);

/* Where row `index` of all rows of windows begins. */
typedef struct pool_place {
    size_t in, out, saved;
} pool_place;

pool_place cpu_pool_place(const maxpool2d_shape *shape, const pool_geometry *g, int index);

ALWAYS_INLINE float load1(bool bf16, const void *array, size_t index) {
    return bf16 ? bf16_to_float(((const uint16_t *)array)[index]) : ((const float *)array)[index];
}

ALWAYS_INLINE void copy1(bool bf16, void *to, size_t to_index, const void *from, size_t index) {
    if (bf16)
        ((uint16_t *)to)[to_index] = ((const uint16_t *)from)[index];
    else
        ((float *)to)[to_index] = ((const float *)from)[index];
}

/* What comes next is fetched ahead: a core by itself sees several streams in a page as none. */
ALWAYS_INLINE void prefetch1(bool bf16, const void *array, size_t index) {
    __builtin_prefetch((const char *)array + index * (bf16 ? sizeof(uint16_t) : sizeof(float)));
}

#endif
