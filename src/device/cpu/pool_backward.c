/* Max pooling backward: see pool.c. */
#include "device/cpu/pool.h"
#include "device/cpu/stream.h"

#include <string.h>

/* dy of a row of windows at [from], y with it; dx of its first window at [to]. */
typedef struct row_gradient {
    const void *dy, *y;
    const uint8_t *saved;
    void *dx;
    size_t from, to;
    bool masked; /* only where y > 0 */
    bool streams;
} row_gradient;

ALWAYS_INLINE void window_vector_backward_fp32(bool streams, const row_gradient *r, size_t from,
                                               size_t to, const uint8_t *saved, pool_steps by) {
    ints gradient = *(const ints_there *)((const float *)r->dy + from); /* the bits */
    prefetch1(false, r->dy, from + by.out_row);
    prefetch1(false, r->y, from + by.out_row);
    ints winner = __builtin_convertvector(*(const bytes_there *)saved, ints);
    if (r->masked)
        gradient &= *(const floats_there *)((const float *)r->y + from) > 0;
    for (int position = 0, h = 0; h < by.window; h++)
        for (int w = 0; w < by.window; w++, position++) {
            ints routed = gradient & (winner == position);
            put(streams, (float *)r->dx + to + (size_t)h * by.row + (size_t)w * by.column,
                (const floats *)&routed);
        }
}

/* As bits: a bf16 is positive where they are above zero and not above infinity's. */
ALWAYS_INLINE void window_vector_backward_bf16(const row_gradient *r, size_t from, size_t to,
                                               const uint8_t *saved, pool_steps by) {
    shorts gradient = *(const shorts_there *)((const int16_t *)r->dy + from);
    shorts winner = __builtin_convertvector(*(const bytes_there *)saved, shorts);
    if (r->masked) {
        shorts y = *(const shorts_there *)((const int16_t *)r->y + from);
        gradient &= (y > 0) & (y <= 0x7F80);
    }
    for (int position = 0, h = 0; h < by.window; h++)
        for (int w = 0; w < by.window; w++, position++)
            *(shorts_there *)((int16_t *)r->dx + to + (size_t)h * by.row + (size_t)w * by.column) =
                gradient & (winner == (int16_t)position);
}

ALWAYS_INLINE void window_backward(bool bf16, const row_gradient *r, size_t from, size_t to,
                                   const uint8_t *saved, int group, pool_steps by) {
    for (int position = 0; position < by.window * by.window; position++) {
        size_t there = to + (size_t)(position / by.window) * by.row +
                       (size_t)(position % by.window) * by.column;
        for (size_t i = 0; i < (size_t)group; i++) {
            bool passes = !r->masked || load1(bf16, r->y, from + i) > 0;
            if (passes && saved[i] == position)
                copy1(bf16, r->dx, there + i, r->dy, from + i);
            else if (bf16)
                ((uint16_t *)r->dx)[there + i] = 0;
            else
                ((float *)r->dx)[there + i] = 0;
        }
    }
}

/* A window's run of channels, in vectors. */
ALWAYS_INLINE void run_backward(bool bf16, const row_gradient *r, size_t from, size_t to,
                                const uint8_t *saved, size_t group, pool_steps by) {
    for (size_t i = 0; i < group; i += LANES)
        if (bf16)
            window_vector_backward_bf16(r, from + i, to + i, saved + i, by);
        else if (r->streams)
            window_vector_backward_fp32(true, r, from + i, to + i, saved + i, by);
        else
            window_vector_backward_fp32(false, r, from + i, to + i, saved + i, by);
}

ALWAYS_INLINE void row_backward(bool bf16, const row_gradient *r, int out_width, int group,
                                pool_steps by) {
    for (int w = 0; w < out_width; w++) {
        size_t from = r->from + (size_t)w * by.out_column;
        size_t to = r->to + (size_t)(w * by.window) * by.column;
        const uint8_t *kept = r->saved + (size_t)w * (size_t)group;
        if (group % LANES != 0)
            window_backward(bf16, r, from, to, kept, group, by);
        else
            run_backward(bf16, r, from, to, kept, (size_t)group, by);
    }
}

static void row_backward_fp32(const row_gradient *r, int out_width, int group, pool_steps by) {
    row_backward(false, r, out_width, group, by);
}

static void row_backward_bf16(const row_gradient *r, int out_width, int group, pool_steps by) {
    row_backward(true, r, out_width, group, by);
}

void cpu_maxpool2d_backward(const maxpool2d_shape *shape, const void *dy, const void *y,
                            const void *saved, void *dx) {
    pool_geometry g = cpu_pool_geometry(shape);
    pool_steps by = cpu_pool_steps(shape, &g);
    bool ragged = shape->height % shape->window != 0 || shape->width % shape->window != 0;
    if (ragged) /* the rows and columns that no window covers */
        memset(dx, 0, (size_t)shape->n * g.in.image * dtype_bytes(shape->type));
    int rows = shape->n * g.blocks * g.out_height;
    size_t bytes = (size_t)shape->n * g.in.image * dtype_bytes(shape->type);
    bool streams = stream_serves(dx, bytes);
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int index = 0; index < rows; index++) {
            pool_place at = cpu_pool_place(shape, &g, index);
            row_gradient row = {
                dy,     y, (const uint8_t *)saved + at.saved, dx, at.out, at.in, shape->relu_input,
                streams};
            if (shape->type == DTYPE_BF16)
                row_backward_bf16(&row, g.out_width, g.group, by);
            else
                row_backward_fp32(&row, g.out_width, g.group, by);
        }
        end_streams(streams);
    }
}
