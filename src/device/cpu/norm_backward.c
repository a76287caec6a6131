/* Batch normalisation backward, tile by tile: norm.h. The bodies are inlined with a constant type
 * and mask. */
#include "device/cpu/norm_rows.h"

typedef struct tensors {
    const void *x, *y, *dy;
    void *dx, *masked_dy;
    const float *mean, *scale, *beta, *slope, *base;
    float *sum, *product;
} tensors;

static tensors tensors_of(const norm_job *self, int block, float lanes[5][NORM_PERIOD]) {
    const norm_view *v = &self->view;
    const norm_channels *c = &self->channels;
    return (tensors){.x = self->x,
                     .y = self->y,
                     .dy = self->dy,
                     .dx = self->dx,
                     .masked_dy = self->masked_dy,
                     .mean = norm_lanes(v, c->mean, block, lanes[0]),
                     .scale = norm_lanes(v, c->scale, block, lanes[1]),
                     .beta = norm_lanes(v, c->beta, block, lanes[2]),
                     .slope = norm_lanes(v, c->slope, block, lanes[3]),
                     .base = norm_lanes(v, c->base, block, lanes[4])};
}

/* dy where the ReLU let y through; away: x - mean. By x it is computed again, as forward did. */
ALWAYS_INLINE floats masked_dy(bool bf16, norm_mask mask, const tensors *self, norm_place p,
                               size_t at, floats away) {
    floats dy = load_values(bf16, self->dy, at, p.lanes);
    if (mask == NORM_UNMASKED)
        return dy;
    floats y = {0};
    if (mask == NORM_MASKED_BY_Y)
        y = load_values(bf16, self->y, at, p.lanes);
    else
        y = away * load_floats(self->scale + p.column, p.lanes) +
            load_floats(self->beta + p.column, p.lanes);
    return (floats)((ints)dy & (y > 0));
}

/* --- sums */

ALWAYS_INLINE void add_sums(bool bf16, norm_mask mask, const tensors *self, norm_place p) {
    floats mean = load_floats(self->mean + p.column, p.lanes);
    floats sum[NORM_ROWS], product[NORM_ROWS];
    for (size_t row = 0; row < p.count; row++) {
        size_t at = p.at + row * p.period;
        floats away = load_values(bf16, self->x, at, p.lanes) - mean;
        sum[row] = masked_dy(bf16, mask, self, p, at, away);
        product[row] = sum[row] * away;
        if (self->masked_dy)
            store_values(bf16, false, self->masked_dy, at, p.lanes, &sum[row]);
    }
    if (p.count == NORM_ROWS) {
        sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        product[0] = (product[0] + product[1]) + (product[2] + product[3]);
    }
    sum[0] += load_floats(self->sum + p.column, p.lanes);
    product[0] += load_floats(self->product + p.column, p.lanes);
    store_floats(self->sum + p.column, p.lanes, &sum[0]);
    store_floats(self->product + p.column, p.lanes, &product[0]);
}

/* --- dx */

ALWAYS_INLINE void write_dx(bool bf16, norm_mask mask, bool streams, const tensors *self,
                            norm_place p) {
    floats mean = load_floats(self->mean + p.column, p.lanes);
    floats gain = load_floats(self->scale + p.column, p.lanes);
    floats slope = load_floats(self->slope + p.column, p.lanes);
    floats base = load_floats(self->base + p.column, p.lanes);
    for (size_t row = 0; row < p.count; row++) {
        size_t at = p.at + row * p.period;
        floats away = load_values(bf16, self->x, at, p.lanes) - mean;
        floats dx = masked_dy(bf16, mask, self, p, at, away) * gain + (away * slope + base);
        store_values(bf16, streams, self->dx, at, p.lanes, &dx);
    }
}

/* --- for each type and mask */

typedef void tile_loop(const tensors *of, const norm_view *v, int block, int tile);

typedef struct loops {
    tile_loop *add, *write, *stream;
} loops;

#define LOOPS(name, bf16, mask)                                                                    \
    ALWAYS_INLINE void add_rows_##name(const void *context, norm_place place) {                    \
        add_sums(bf16, mask, context, place);                                                      \
    }                                                                                              \
    ALWAYS_INLINE void write_rows_##name(const void *context, norm_place place) {                  \
        write_dx(bf16, mask, false, context, place);                                               \
    }                                                                                              \
    ALWAYS_INLINE void stream_rows_##name(const void *context, norm_place place) {                 \
        write_dx(bf16, mask, true, context, place);                                                \
    }                                                                                              \
    static void add_##name(const tensors *of, const norm_view *v, int block, int tile) {           \
        norm_over_tile(add_rows_##name, of, v, block, tile);                                       \
    }                                                                                              \
    static void write_##name(const tensors *of, const norm_view *v, int block, int tile) {         \
        norm_over_tile(write_rows_##name, of, v, block, tile);                                     \
    }                                                                                              \
    static void stream_##name(const tensors *of, const norm_view *v, int block, int tile) {        \
        norm_over_tile(stream_rows_##name, of, v, block, tile);                                    \
    }                                                                                              \
    static const loops name = {add_##name, write_##name, stream_##name};

LOOPS(fp32, false, NORM_UNMASKED)
LOOPS(fp32_by_x, false, NORM_MASKED_BY_X)
LOOPS(fp32_by_y, false, NORM_MASKED_BY_Y)
LOOPS(bf16, true, NORM_UNMASKED)
LOOPS(bf16_by_x, true, NORM_MASKED_BY_X)
LOOPS(bf16_by_y, true, NORM_MASKED_BY_Y)

static const loops *loops_of(const norm_job *self) {
    static const loops *const all[][2] = {[NORM_UNMASKED] = {&fp32, &bf16},
                                          [NORM_MASKED_BY_X] = {&fp32_by_x, &bf16_by_x},
                                          [NORM_MASKED_BY_Y] = {&fp32_by_y, &bf16_by_y}};
    return all[self->mask][self->type == DTYPE_BF16];
}

void cpu_norm_backward_sums(const norm_job *self, int block, int tile, float *partial) {
    const norm_view *v = &self->view;
    size_t group = (size_t)v->group;
    float lanes[5][NORM_PERIOD], sums[2][NORM_PERIOD] = {{0}};
    bool repeats = v->period != group;
    tensors of = tensors_of(self, block, lanes);
    memset(partial, 0, 3 * group * sizeof *partial);
    of.sum = repeats ? sums[0] : partial;
    of.product = repeats ? sums[1] : partial + group;
    loops_of(self)->add(&of, v, block, tile);
    if (repeats) {
        norm_fold(v, sums[0], partial);
        norm_fold(v, sums[1], partial + group);
    }
}

void cpu_norm_backward(const norm_job *self, int block, int tile) {
    float lanes[5][NORM_PERIOD];
    tensors of = tensors_of(self, block, lanes);
    const loops *by = loops_of(self);
    (self->streams ? by->stream : by->write)(&of, &self->view, block, tile);
    end_streams(self->streams);
}
