/* Batch normalisation forward, tile by tile: norm.h. The bodies are inlined with a constant type.
 */
#include "device/cpu/norm_rows.h"

/* --- sums */

typedef struct sums {
    const void *x;
    const float *around;
    float *sum, *square;
} sums;

ALWAYS_INLINE void add_sums(bool bf16, const sums *self, norm_place p) {
    floats around = load_floats(self->around + p.column, p.lanes);
    floats sum[NORM_ROWS], square[NORM_ROWS];
    for (size_t row = 0; row < p.count; row++) {
        sum[row] = load_values(bf16, self->x, p.at + row * p.period, p.lanes) - around;
        square[row] = sum[row] * sum[row];
    }
    if (p.count == NORM_ROWS) {
        sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        square[0] = (square[0] + square[1]) + (square[2] + square[3]);
    }
    sum[0] += load_floats(self->sum + p.column, p.lanes);
    square[0] += load_floats(self->square + p.column, p.lanes);
    store_floats(self->sum + p.column, p.lanes, &sum[0]);
    store_floats(self->square + p.column, p.lanes, &square[0]);
}

ALWAYS_INLINE void add_sums_fp32(const void *context, norm_place place) {
    add_sums(false, context, place);
}

ALWAYS_INLINE void add_sums_bf16(const void *context, norm_place place) {
    add_sums(true, context, place);
}

/* A tile's first pixel is what its values are summed around. */
static void take_first(const norm_job *self, int block, int tile, float *around) {
    const norm_view *v = &self->view;
    size_t pixel = (size_t)tile * v->tile;
    norm_run run = norm_run_at(v, block, pixel, pixel + 1);
    for (size_t i = 0; i < run.count; i++)
        around[i] = self->type == DTYPE_BF16
                        ? bf16_to_float(((const uint16_t *)self->x)[run.at + i])
                        : ((const float *)self->x)[run.at + i];
}

void cpu_norm_sums(const norm_job *self, int block, int tile, float *partial) {
    const norm_view *v = &self->view;
    size_t group = (size_t)v->group;
    float around[NORM_PERIOD], lanes[2][NORM_PERIOD] = {{0}};
    bool repeats = v->period != group;
    take_first(self, block, tile, partial);
    memset(partial + group, 0, 2 * group * sizeof *partial);
    sums to = {.x = self->x,
               .around = norm_lanes(v, partial, 0, around),
               .sum = repeats ? lanes[0] : partial + group,
               .square = repeats ? lanes[1] : partial + 2 * group};
    if (self->type == DTYPE_BF16)
        norm_over_tile(add_sums_bf16, &to, v, block, tile);
    else
        norm_over_tile(add_sums_fp32, &to, v, block, tile);
    if (repeats) {
        norm_fold(v, lanes[0], partial + group);
        norm_fold(v, lanes[1], partial + 2 * group);
    }
}

/* --- y */

typedef struct outputs {
    const void *x, *other;
    void *y;
    const float *mean, *scale, *beta;
    bool relu;
} outputs;

ALWAYS_INLINE void write_outputs(bool bf16, bool streams, const outputs *self, norm_place p) {
    floats mean = load_floats(self->mean + p.column, p.lanes);
    floats scale = load_floats(self->scale + p.column, p.lanes);
    floats beta = load_floats(self->beta + p.column, p.lanes);
    for (size_t row = 0; row < p.count; row++) {
        size_t at = p.at + row * p.period;
        floats y = (load_values(bf16, self->x, at, p.lanes) - mean) * scale + beta;
        if (self->other)
            y += load_values(bf16, self->other, at, p.lanes);
        if (self->relu)
            y = (floats)((ints)y & ~(y < 0));
        store_values(bf16, streams, self->y, at, p.lanes, &y);
    }
}

ALWAYS_INLINE void write_fp32(const void *context, norm_place place) {
    write_outputs(false, false, context, place);
}

ALWAYS_INLINE void write_fp32_past_caches(const void *context, norm_place place) {
    write_outputs(false, true, context, place);
}

ALWAYS_INLINE void write_bf16(const void *context, norm_place place) {
    write_outputs(true, false, context, place);
}

ALWAYS_INLINE void write_bf16_past_caches(const void *context, norm_place place) {
    write_outputs(true, true, context, place);
}

void cpu_norm_forward(const norm_job *self, int block, int tile) {
    const norm_view *v = &self->view;
    const norm_channels *c = &self->channels;
    float lanes[3][NORM_PERIOD];
    outputs to = {.x = self->x,
                  .other = self->other,
                  .y = self->y,
                  .mean = norm_lanes(v, c->mean, block, lanes[0]),
                  .scale = norm_lanes(v, c->scale, block, lanes[1]),
                  .beta = norm_lanes(v, c->beta, block, lanes[2]),
                  .relu = self->relu};
    if (self->type == DTYPE_BF16 && self->streams)
        norm_over_tile(write_bf16_past_caches, &to, v, block, tile);
    else if (self->type == DTYPE_BF16)
        norm_over_tile(write_bf16, &to, v, block, tile);
    else if (self->streams)
        norm_over_tile(write_fp32_past_caches, &to, v, block, tile);
    else
        norm_over_tile(write_fp32, &to, v, block, tile);
    end_streams(self->streams);
}
