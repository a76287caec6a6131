/* Max pooling. A tensor is seen as runs of `group` neighbouring channels, which are contiguous in
 * every layout (a plane's in NCHW16C and NCHW8C, all of them in NHWC, 1 in NCHW), so one loop
 * serves any pair of layouts and the layer can change the layout on the way for nothing. Backward
 * routes the gradient to the winner and applies the ReLU's mask of the layer before in the same
 * pass: the winner is positive exactly when the pooled value is. */
#include "device/cpu/pool.h"

/* --- forward. The bodies are inlined with a constant `bf16`, once for each type. */

ALWAYS_INLINE void load_vector(bool bf16, const void *array, size_t index, floats *out) {
    if (bf16)
        *(words *)out =
            __builtin_convertvector(*(const halves_there *)((const uint16_t *)array + index), words)
            << 16;
    else
        *out = *(const floats_there *)((const float *)array + index);
}

/* Of a value that was loaded: nothing is rounded. */
ALWAYS_INLINE void store_vector(bool bf16, void *array, size_t index, const floats *value) {
    if (bf16)
        *(halves_there *)((uint16_t *)array + index) =
            __builtin_convertvector(*(const words *)value >> 16, halves);
    else
        *(floats_there *)((float *)array + index) = *value;
}

ALWAYS_INLINE void window_vector_forward(bool bf16, const void *x, size_t at, void *y, size_t to,
                                         uint8_t *saved, pool_part rows, pool_part columns,
                                         pool_steps by) {
    floats best, candidate;
    load_vector(bf16, x, at + (size_t)rows.first * by.row + (size_t)columns.first * by.column,
                &best);
    ints winner = (ints){0} + (rows.first * by.window + columns.first);
    for (int h = rows.first; h < rows.end; h++)
        for (int w = columns.first; w < columns.end; w++) {
            size_t from = at + (size_t)h * by.row + (size_t)w * by.column;
            load_vector(bf16, x, from, &candidate);
            prefetch1(bf16, x, from + (size_t)by.stride * by.row);
            ints better = candidate > best;
            best = (floats)(((ints)candidate & better) | ((ints)best & ~better));
            winner = (winner & ~better) | (better & (h * by.window + w));
        }
    store_vector(bf16, y, to, &best);
    *(bytes_there *)saved = __builtin_convertvector(winner, bytes);
}

/* Any number of channels. */
ALWAYS_INLINE void window_forward(bool bf16, const void *x, size_t at, void *y, size_t to,
                                  uint8_t *saved, int group, pool_part rows, pool_part columns,
                                  pool_steps by) {
    for (size_t i = 0; i < (size_t)group; i++) {
        size_t best = at + i + (size_t)rows.first * by.row + (size_t)columns.first * by.column;
        int winner = rows.first * by.window + columns.first;
        for (int h = rows.first; h < rows.end; h++)
            for (int w = columns.first; w < columns.end; w++) {
                size_t candidate = at + i + (size_t)h * by.row + (size_t)w * by.column;
                if (load1(bf16, x, candidate) > load1(bf16, x, best)) {
                    best = candidate;
                    winner = h * by.window + w;
                }
            }
        copy1(bf16, y, to + i, x, best);
        saved[i] = (uint8_t)winner;
    }
}

/* A row of windows, from x[at] to y[to]. */
ALWAYS_INLINE void row_forward(bool bf16, const void *x, void *y, pool_place place, uint8_t *saved,
                               int out_width, int group, pool_steps by) {
    pool_part rows = pool_inside(&by, place.row, by.height);
    for (int w = 0; w < out_width; w++) {
        pool_part columns = pool_inside(&by, w, by.width);
        size_t from = place.in + (size_t)(w * by.stride) * by.column;
        size_t there = place.out + (size_t)w * by.out_column;
        uint8_t *kept = saved + (size_t)w * (size_t)group;
        for (size_t i = 0; group % LANES == 0 && i < (size_t)group; i += LANES)
            window_vector_forward(bf16, x, from + i, y, there + i, kept + i, rows, columns, by);
        if (group % LANES != 0)
            window_forward(bf16, x, from, y, there, kept, group, rows, columns, by);
    }
}

static void row_forward_fp32(const void *x, void *y, pool_place place, uint8_t *saved,
                             int out_width, int group, pool_steps by) {
    row_forward(false, x, y, place, saved, out_width, group, by);
}

static void row_forward_bf16(const void *x, void *y, pool_place place, uint8_t *saved,
                             int out_width, int group, pool_steps by) {
    row_forward(true, x, y, place, saved, out_width, group, by);
}

void cpu_maxpool2d_forward(const maxpool2d_shape *shape, const void *x, void *y, void *saved) {
    pool_geometry g = cpu_pool_geometry(shape);
    pool_steps by = cpu_pool_steps(shape, &g);
    int rows = shape->n * g.blocks * g.out_height;
#pragma omp parallel for schedule(static)
    for (int index = 0; index < rows; index++) {
        pool_place at = cpu_pool_place(shape, &g, index);
        uint8_t *kept = (uint8_t *)saved + at.saved;
        if (shape->type == DTYPE_BF16)
            row_forward_bf16(x, y, at, kept, g.out_width, g.group, by);
        else
            row_forward_fp32(x, y, at, kept, g.out_width, g.group, by);
    }
}
