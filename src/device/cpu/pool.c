/* Max pooling. A tensor is seen as runs of `group` neighbouring channels, which are contiguous in
 * every layout (a plane's in NCHW16C and NCHW8C, all of them in NHWC, 1 in NCHW), so one loop
 * serves any pair of layouts and the layer can change the layout on the way for nothing. Backward
 * routes the gradient to the winner and applies the ReLU's mask of the layer before in the same
 * pass: the winner is positive exactly when the pooled value is. */
#include "device/cpu/pool.h"

#include <string.h>

static pool_grid grid_of(tensor_layout layout, int height, int width, int channels, int group) {
    size_t plane = (size_t)height * (size_t)width;
    size_t row = (size_t)width;
    pool_grid out = {.image = plane * (size_t)channels};
    if (layout == LAYOUT_NHWC) {
        out.block = (size_t)group;
        out.column = (size_t)channels;
    } else { /* a block is a whole plane of `group` */
        out.block = plane * (size_t)group;
        out.column = (size_t)group;
    }
    out.row = row * out.column;
    return out;
}

/* Of two layouts with planes, the same ones (cpu_maxpool2d_prepare). */
static int group_of(const maxpool2d_shape *shape) {
    int in = layout_plane_channels(shape->in_layout);
    int out = layout_plane_channels(shape->out_layout);
    if (shape->in_layout == LAYOUT_NCHW || shape->out_layout == LAYOUT_NCHW)
        return 1;
    if (in || out)
        return in ? in : out;
    return shape->channels % 16 == 0 ? 16 : shape->channels;
}

pool_geometry cpu_pool_geometry(const maxpool2d_shape *shape) {
    pool_geometry made = {.out_height = shape->height / shape->window,
                          .out_width = shape->width / shape->window};
    made.group = group_of(shape);
    made.blocks = shape->channels / made.group;
    made.in = grid_of(shape->in_layout, shape->height, shape->width, shape->channels, made.group);
    made.out =
        grid_of(shape->out_layout, made.out_height, made.out_width, shape->channels, made.group);
    return made;
}

int cpu_maxpool2d_prepare(device *self, const maxpool2d_shape *shape, plan **out, ls_error *error) {
    int in = layout_plane_channels(shape->in_layout);
    int others = layout_plane_channels(shape->out_layout);
    bool single = shape->in_layout == LAYOUT_NCHW || shape->out_layout == LAYOUT_NCHW;
    if ((in && others && in != others) || ((in || others) && single))
        return ls_fail(error, LS_FAILED,
                       "cpu max pooling: planes of unlike numbers of channels cannot be paired "
                       "(they share no run of channels)");
    if (shape->window > 15)
        return ls_fail(error, LS_FAILED, "cpu max pooling: window %d is larger than 15",
                       shape->window);
    cpu_plan *made;
    LS_TRY(cpu_plan_create(self, CPU_MAXPOOL2D, shape->type, &made, error));
    made->shape.maxpool2d = *shape;
    pool_geometry geometry = cpu_pool_geometry(shape);
    made->saved_bytes = (size_t)shape->n * (size_t)shape->channels * (size_t)geometry.out_height *
                        (size_t)geometry.out_width;
    strcpy(made->description, "loop");
    *out = (plan *)made;
    return LS_OK;
}

pool_steps cpu_pool_steps(const maxpool2d_shape *shape, const pool_geometry *g) {
    return (pool_steps){g->in.row, g->in.column, g->out.row, g->out.column, shape->window};
}

pool_place cpu_pool_place(const maxpool2d_shape *shape, const pool_geometry *g, int index) {
    int h = index % g->out_height, block = index / g->out_height % g->blocks;
    int n = index / g->out_height / g->blocks;
    return (pool_place){(size_t)n * g->in.image + (size_t)block * g->in.block +
                            (size_t)(h * shape->window) * g->in.row,
                        (size_t)n * g->out.image + (size_t)block * g->out.block +
                            (size_t)h * g->out.row,
                        (size_t)index * (size_t)g->out_width * (size_t)g->group};
}

/* --- forward. The bodies are inlined with a constant `bf16`, once for each type. */

ALWAYS_INLINE void load16(bool bf16, const void *array, size_t index, floats16 *out) {
    if (bf16)
        *(words16 *)out =
            __builtin_convertvector(*(const halves16 *)((const uint16_t *)array + index), words16)
            << 16;
    else
        *out = *(const floats16 *)((const float *)array + index);
}

/* Of a value that was loaded: nothing is rounded. */
ALWAYS_INLINE void store16(bool bf16, void *array, size_t index, const floats16 *value) {
    if (bf16)
        *(halves16 *)((uint16_t *)array + index) =
            __builtin_convertvector(*(const words16 *)value >> 16, halves16);
    else
        *(floats16 *)((float *)array + index) = *value;
}

ALWAYS_INLINE void window16_forward(bool bf16, const void *x, size_t at, void *y, size_t to,
                                    uint8_t *saved, pool_steps by) {
    floats16 best, candidate;
    load16(bf16, x, at, &best);
    ints16 winner = {0};
    for (int position = 0, h = 0; h < by.window; h++)
        for (int w = 0; w < by.window; w++, position++) {
            size_t from = at + (size_t)h * by.row + (size_t)w * by.column;
            load16(bf16, x, from, &candidate);
            prefetch1(bf16, x, from + (size_t)by.window * by.row);
            ints16 better = candidate > best;
            best = (floats16)(((ints16)candidate & better) | ((ints16)best & ~better));
            winner = (winner & ~better) | (better & position);
        }
    store16(bf16, y, to, &best);
    *(bytes16 *)saved = __builtin_convertvector(winner, bytes16);
}

/* Any number of channels. */
ALWAYS_INLINE void window_forward(bool bf16, const void *x, size_t at, void *y, size_t to,
                                  uint8_t *saved, int group, pool_steps by) {
    for (size_t i = 0; i < (size_t)group; i++) {
        size_t best = at + i;
        int winner = 0;
        for (int position = 1; position < by.window * by.window; position++) {
            size_t candidate = at + i + (size_t)(position / by.window) * by.row +
                               (size_t)(position % by.window) * by.column;
            if (load1(bf16, x, candidate) > load1(bf16, x, best)) {
                best = candidate;
                winner = position;
            }
        }
        copy1(bf16, y, to + i, x, best);
        saved[i] = (uint8_t)winner;
    }
}

/* A row of windows, from x[at] to y[to]. */
ALWAYS_INLINE void row_forward(bool bf16, const void *x, size_t at, void *y, size_t to,
                               uint8_t *saved, int out_width, int group, pool_steps by) {
    for (int w = 0; w < out_width; w++) {
        size_t from = at + (size_t)(w * by.window) * by.column;
        size_t there = to + (size_t)w * by.out_column;
        uint8_t *kept = saved + (size_t)w * (size_t)group;
        if (group == 16)
            window16_forward(bf16, x, from, y, there, kept, by);
        else
            window_forward(bf16, x, from, y, there, kept, group, by);
    }
}

VECTORISED static void row_forward_fp32(const void *x, size_t at, void *y, size_t to,
                                        uint8_t *saved, int out_width, int group, pool_steps by) {
    row_forward(false, x, at, y, to, saved, out_width, group, by);
}

VECTORISED static void row_forward_bf16(const void *x, size_t at, void *y, size_t to,
                                        uint8_t *saved, int out_width, int group, pool_steps by) {
    row_forward(true, x, at, y, to, saved, out_width, group, by);
}

int cpu_maxpool2d_forward(plan *plan, device_stream *stream, const void *x, void *y, void *saved,
                          ls_error *error) {
    (void)stream, (void)error;
    const maxpool2d_shape *shape = &((cpu_plan *)plan)->shape.maxpool2d;
    pool_geometry g = cpu_pool_geometry(shape);
    pool_steps by = cpu_pool_steps(shape, &g);
    int rows = shape->n * g.blocks * g.out_height;
#pragma omp parallel for schedule(static)
    for (int index = 0; index < rows; index++) {
        pool_place at = cpu_pool_place(shape, &g, index);
        uint8_t *kept = (uint8_t *)saved + at.saved;
        if (shape->type == DTYPE_BF16)
            row_forward_bf16(x, at.in, y, at.out, kept, g.out_width, g.group, by);
        else
            row_forward_fp32(x, at.in, y, at.out, kept, g.out_width, g.group, by);
    }
    return LS_OK;
}
