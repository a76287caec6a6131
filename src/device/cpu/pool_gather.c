/* Max pooling backward where windows overlap or begin in padding: an element of dx is gathered from
 * the windows that hold it, row by row and in each row from the left. */
#include "device/cpu/pool.h"
#include "device/cpu/values.h"

typedef struct gather {
    const void *dy, *y;
    const uint8_t *saved;
    void *dx;
    pool_geometry geometry;
    pool_steps by;
    bool masked, streams;
} gather;

/* The windows along one side that hold a row or column of the input. */
ALWAYS_INLINE pool_part windows_with(const pool_steps *by, int at, int outputs) {
    int place = at + by->padding, before = place - by->window, last = place / by->stride;
    return (pool_part){before < 0 ? 0 : before / by->stride + 1,
                       last < outputs ? last + 1 : outputs};
}

ALWAYS_INLINE ints load_winners(const uint8_t *from, size_t lanes) {
    bytes out = {0};
    if (lanes == LANES)
        out = *(const bytes_there *)from;
    else
        memcpy(&out, from, lanes);
    return __builtin_convertvector(out, ints);
}

/* A row of the input: its windows' outputs begin at [out], their winners at [saved]. */
typedef struct gathered_row {
    size_t in, out, saved;
    int row;
    pool_part windows;
} gathered_row;

/* One pixel's channels from `channel` on. */
ALWAYS_INLINE void gather_vector(bool bf16, const gather *self, const gathered_row *r, int column,
                                 pool_part windows, size_t channel, size_t lanes) {
    const pool_geometry *g = &self->geometry;
    const pool_steps *by = &self->by;
    size_t group = (size_t)g->group;
    floats sum = {0};
    for (int down = r->windows.first; down < r->windows.end; down++)
        for (int right = windows.first; right < windows.end; right++) {
            int position = (r->row + by->padding - down * by->stride) * by->window + column +
                           by->padding - right * by->stride;
            size_t window = (size_t)down * (size_t)g->out_width + (size_t)right;
            size_t at = r->out + (size_t)down * by->out_row + (size_t)right * by->out_column;
            ints wins =
                load_winners(self->saved + r->saved + window * group + channel, lanes) == position;
            if (self->masked)
                wins &= load_values(bf16, self->y, at + channel, lanes) > 0;
            sum += (floats)((ints)load_values(bf16, self->dy, at + channel, lanes) & wins);
        }
    store_values(bf16, self->streams, self->dx, r->in + (size_t)column * by->column + channel,
                 lanes, &sum);
}

ALWAYS_INLINE void gather_row(bool bf16, const gather *self, const gathered_row *r) {
    size_t group = (size_t)self->geometry.group;
    for (int column = 0; column < self->by.width; column++) {
        pool_part windows = windows_with(&self->by, column, self->geometry.out_width);
        size_t channel = 0;
        for (; channel + LANES <= group; channel += LANES)
            gather_vector(bf16, self, r, column, windows, channel, LANES);
        if (channel < group)
            gather_vector(bf16, self, r, column, windows, channel, group - channel);
    }
}

static void gather_row_fp32(const gather *self, const gathered_row *r) {
    gather_row(false, self, r);
}

static void gather_row_bf16(const gather *self, const gathered_row *r) {
    gather_row(true, self, r);
}

/* Row `index` of all images' and blocks'. */
static gathered_row row_at(const gather *self, int index) {
    const pool_geometry *g = &self->geometry;
    int row = index % self->by.height, plane = index / self->by.height;
    size_t n = (size_t)(plane / g->blocks), block = (size_t)(plane % g->blocks);
    return (gathered_row){.in = n * g->in.image + block * g->in.block + (size_t)row * g->in.row,
                          .out = n * g->out.image + block * g->out.block,
                          .saved = (size_t)plane * (size_t)g->out_height * (size_t)g->out_width *
                                   (size_t)g->group,
                          .row = row,
                          .windows = windows_with(&self->by, row, g->out_height)};
}

void cpu_maxpool2d_gather(const maxpool2d_shape *shape, const void *dy, const void *y,
                          const void *saved, void *dx) {
    pool_geometry g = cpu_pool_geometry(shape);
    gather self = {.dy = dy,
                   .y = y,
                   .saved = saved,
                   .dx = dx,
                   .geometry = g,
                   .by = cpu_pool_steps(shape, &g),
                   .masked = shape->relu_input};
    int rows = shape->n * g.blocks * shape->height;
    self.streams = shape->type == DTYPE_F32 && g.group % 16 == 0 &&
                   stream_serves(dx, (size_t)shape->n * g.in.image * sizeof(float));
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (int index = 0; index < rows; index++) {
            gathered_row row = row_at(&self, index);
            if (shape->type == DTYPE_BF16)
                gather_row_bf16(&self, &row);
            else
                gather_row_fp32(&self, &row);
        }
        end_streams(self.streams);
    }
}
