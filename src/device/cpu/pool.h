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
    int window, stride, padding, height, width; /* height, width: of the input */
} pool_steps;

/* Of a window, the rows or columns inside the image: first to the one before `end`. */
typedef struct pool_part {
    int first, end;
} pool_part;

static inline pool_part pool_inside(const pool_steps *by, int output, int size) {
    int before = output * by->stride - by->padding; /* where the window begins */
    int left = size - before;
    return (pool_part){before < 0 ? -before : 0, left < by->window ? left : by->window};
}

pool_steps cpu_pool_steps(const maxpool2d_shape *shape, const pool_geometry *g);

/* Where row `index` of all rows of windows begins; in: its first window's corner, which may be
 * padding (and then lie, as unsigned sums go, before the array). */
typedef struct pool_place {
    size_t in, out, saved;
    int row; /* of its image */
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
