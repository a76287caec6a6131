/* Max pooling. A tensor is seen as runs of `group` neighbouring channels, which are contiguous in
 * every layout (16 in NCHW16C, all of them in NHWC, 1 in NCHW), so one loop serves any pair of
 * layouts and the layer can change the layout on the way for nothing. Backward routes the gradient
 * to the winner and applies the ReLU's mask of the layer before in the same pass: the winner is
 * positive exactly when the pooled value is. */
#include "device/cpu/cpu.h"

#include <string.h>

typedef struct grid {
    size_t image, block, row, column; /* strides, in elements */
} grid;

static grid grid_of(tensor_layout layout, int height, int width, int channels, int group) {
    size_t plane = (size_t)height * (size_t)width;
    size_t row = (size_t)width;
    grid out = {.image = plane * (size_t)channels};
    if (layout == LAYOUT_NHWC) {
        out.block = (size_t)group;
        out.column = (size_t)channels;
    } else { /* NCHW (group 1) and NCHW16C (group 16): a block is a whole plane of `group` */
        out.block = plane * (size_t)group;
        out.column = (size_t)group;
    }
    out.row = row * out.column;
    return out;
}

typedef struct pool_geometry {
    int group, blocks, out_height, out_width;
    grid in, out;
} pool_geometry;

static pool_geometry geometry_of(const maxpool2d_shape *shape) {
    pool_geometry made = {.out_height = shape->height / shape->window,
                          .out_width = shape->width / shape->window};
    bool planes = shape->in_layout == LAYOUT_NCHW || shape->out_layout == LAYOUT_NCHW;
    made.group = planes ? 1 : shape->channels % 16 == 0 ? 16 : shape->channels;
    made.blocks = shape->channels / made.group;
    made.in = grid_of(shape->in_layout, shape->height, shape->width, shape->channels, made.group);
    made.out =
        grid_of(shape->out_layout, made.out_height, made.out_width, shape->channels, made.group);
    return made;
}

int cpu_maxpool2d_prepare(device *self, const maxpool2d_shape *shape, plan **out, ls_error *error) {
    bool mixed = (shape->in_layout == LAYOUT_NCHW16C) != (shape->out_layout == LAYOUT_NCHW16C);
    if (mixed && (shape->in_layout == LAYOUT_NCHW || shape->out_layout == LAYOUT_NCHW))
        return ls_fail(
            error, LS_FAILED,
            "cpu max pooling: NCHW and NCHW16C cannot be paired (they share no run of channels)");
    if (shape->window > 15)
        return ls_fail(error, LS_FAILED, "cpu max pooling: window %d is larger than 15",
                       shape->window);
    cpu_plan *made;
    LS_TRY(cpu_plan_create(self, CPU_MAXPOOL2D, shape->type, &made, error));
    made->shape.maxpool2d = *shape;
    pool_geometry geometry = geometry_of(shape);
    made->saved_bytes = (size_t)shape->n * (size_t)shape->channels * (size_t)geometry.out_height *
                        (size_t)geometry.out_width;
    strcpy(made->description, "loop");
    *out = (plan *)made;
    return LS_OK;
}

/* Sixteen channels at a time, in vectors of GNU C: the compiler makes scalar branches of the plain
 * loops, which took a quarter of the step. A comparison gives a mask of ones or zeros. */
typedef float floats16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t ints16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint8_t bytes16 __attribute__((vector_size(16), aligned(1), may_alias));

/* One window of 16 channels; inlined into each version of row16_forward. */
static inline void window16_forward(const float *restrict x, float *restrict y,
                                    uint8_t *restrict saved, int window, size_t row,
                                    size_t column) {
    floats16 best = *(const floats16 *)x;
    ints16 winner = {0};
    for (int position = 0, h = 0; h < window; h++)
        for (int w = 0; w < window; w++, position++) {
            floats16 candidate = *(const floats16 *)(x + (size_t)h * row + (size_t)w * column);
            ints16 better = candidate > best;
            best = (floats16)(((ints16)candidate & better) | ((ints16)best & ~better));
            winner = (winner & ~better) | (better & position);
        }
    *(floats16 *)y = best;
    *(bytes16 *)saved = __builtin_convertvector(winner, bytes16);
}

static void window_forward(const float *x, float *y, uint8_t *saved, int group, int window,
                           size_t row, size_t column) {
    for (int i = 0; i < group; i++) {
        float best = x[i];
        int winner = 0;
        for (int position = 1; position < window * window; position++) {
            float candidate = x[(size_t)(position / window) * row +
                                (size_t)(position % window) * column + (size_t)i];
            if (candidate > best) {
                best = candidate;
                winner = position;
            }
        }
        y[i] = best;
        saved[i] = (uint8_t)winner;
    }
}

CPU_VECTORISED static void row16_forward(const float *restrict x, float *restrict y,
                                         uint8_t *restrict saved, int out_width, int window,
                                         size_t row, size_t column, size_t out_column) {
    for (int w = 0; w < out_width; w++)
        window16_forward(x + (size_t)(w * window) * column, y + (size_t)w * out_column,
                         saved + (size_t)w * 16, window, row, column);
}

int cpu_maxpool2d_forward(plan *plan, device_stream *stream, const void *x, void *y, void *saved,
                          ls_error *error) {
    (void)stream, (void)error;
    cpu_plan *self = (cpu_plan *)plan;
    const maxpool2d_shape *shape = &self->shape.maxpool2d;
    pool_geometry g = geometry_of(shape);
    int rows = shape->n * g.blocks * g.out_height;
#pragma omp parallel for schedule(static)
    for (int index = 0; index < rows; index++) {
        int h = index % g.out_height, block = index / g.out_height % g.blocks;
        int n = index / g.out_height / g.blocks;
        const float *from = (const float *)x + (size_t)n * g.in.image + (size_t)block * g.in.block +
                            (size_t)(h * shape->window) * g.in.row;
        float *to = (float *)y + (size_t)n * g.out.image + (size_t)block * g.out.block +
                    (size_t)h * g.out.row;
        uint8_t *kept = (uint8_t *)saved + (size_t)index * (size_t)g.out_width * (size_t)g.group;
        if (g.group == 16) {
            row16_forward(from, to, kept, g.out_width, shape->window, g.in.row, g.in.column,
                          g.out.column);
            continue;
        }
        for (int w = 0; w < g.out_width; w++)
            window_forward(from + (size_t)(w * shape->window) * g.in.column,
                           to + (size_t)w * g.out.column, kept + (size_t)w * (size_t)g.group,
                           g.group, shape->window, g.in.row, g.in.column);
    }
    return LS_OK;
}

/* One window's gradient: to the winner, zero elsewhere; with `masked`, only where y > 0. */
static inline void window_backward(const float *restrict dy, const float *restrict y,
                                   const uint8_t *restrict saved, float *restrict dx, int group,
                                   bool masked, int window, size_t row, size_t column) {
    for (int position = 0; position < window * window; position++) {
        float *to = dx + (size_t)(position / window) * row + (size_t)(position % window) * column;
        if (masked)
            for (int i = 0; i < group; i++)
                to[i] = ((saved[i] == position) & (y[i] > 0)) ? dy[i] : 0.0f;
        else
            for (int i = 0; i < group; i++)
                to[i] = saved[i] == position ? dy[i] : 0.0f;
    }
}

static inline void window16_backward(const float *restrict dy, const float *restrict y,
                                     const uint8_t *restrict saved, float *restrict dx, bool masked,
                                     int window, size_t row, size_t column) {
    ints16 gradient = *(const ints16 *)dy; /* the bits */
    ints16 winner = __builtin_convertvector(*(const bytes16 *)saved, ints16);
    if (masked)
        gradient &= *(const floats16 *)y > 0;
    for (int position = 0, h = 0; h < window; h++)
        for (int w = 0; w < window; w++, position++)
            *(ints16 *)(dx + (size_t)h * row + (size_t)w * column) =
                gradient & (winner == position);
}

CPU_VECTORISED static void row_backward(const float *restrict dy, const float *restrict y,
                                        const uint8_t *restrict saved, float *restrict dx,
                                        const maxpool2d_shape *shape, const pool_geometry *g) {
    for (int w = 0; w < g->out_width; w++) {
        size_t from = (size_t)w * g->out.column;
        float *to = dx + (size_t)(w * shape->window) * g->in.column;
        const uint8_t *kept = saved + (size_t)w * (size_t)g->group;
        if (g->group == 16)
            window16_backward(dy + from, y + from, kept, to, shape->relu_input, shape->window,
                              g->in.row, g->in.column);
        else
            window_backward(dy + from, y + from, kept, to, g->group, shape->relu_input,
                            shape->window, g->in.row, g->in.column);
    }
}

int cpu_maxpool2d_backward(plan *plan, device_stream *stream, const void *dy, const void *y,
                           const void *saved, void *dx, ls_error *error) {
    cpu_plan *self = (cpu_plan *)plan;
    const maxpool2d_shape *shape = &self->shape.maxpool2d;
    pool_geometry g = geometry_of(shape);
    bool ragged = shape->height % shape->window != 0 || shape->width % shape->window != 0;
    if (ragged) /* the rows and columns that no window covers */
        LS_TRY(self->device->base.is->fill_zero(
            &self->device->base, stream, dx, (size_t)shape->n * g.in.image * sizeof(float), error));
    int rows = shape->n * g.blocks * g.out_height;
#pragma omp parallel for schedule(static)
    for (int index = 0; index < rows; index++) {
        int h = index % g.out_height, block = index / g.out_height % g.blocks;
        int n = index / g.out_height / g.blocks;
        size_t from = (size_t)n * g.out.image + (size_t)block * g.out.block + (size_t)h * g.out.row;
        size_t to = (size_t)n * g.in.image + (size_t)block * g.in.block +
                    (size_t)(h * shape->window) * g.in.row;
        row_backward((const float *)dy + from, (const float *)y + from,
                     (const uint8_t *)saved + (size_t)index * (size_t)g.out_width * (size_t)g.group,
                     (float *)dx + to, shape, &g);
    }
    return LS_OK;
}
