/* How batch normalisation's loops go through a tile: rows of `period` values, some at a time, in
 * vectors (norm.h). */
#ifndef LOCKSTEP_DEVICE_CPU_NORM_ROWS_H
#define LOCKSTEP_DEVICE_CPU_NORM_ROWS_H

#include "base/float16.h"
#include "device/cpu/cpu.h"
#include "device/cpu/norm.h"
#include "device/cpu/values.h"

enum { NORM_ROWS = 4 };

/* Of `count` rows, NORM_ROWS or one, a vector each: the first `lanes` values at [at], which are
 * those of column `column` on; the next row's lie a period behind. */
typedef struct norm_place {
    size_t at, period, column, count, lanes;
} norm_place;

typedef void norm_body(const void *context, norm_place place);

ALWAYS_INLINE void norm_over_columns(norm_body *body, const void *context, size_t at, size_t period,
                                     size_t width, size_t count) {
    size_t column = 0;
    for (; column + LANES <= width; column += LANES)
        body(context, (norm_place){at + column, period, column, count, LANES});
    if (column < width)
        body(context, (norm_place){at + column, period, column, count, width - column});
}

/* A run, of which a last row may be shorter. */
ALWAYS_INLINE void norm_over_run(norm_body *body, const void *context, size_t period,
                                 norm_run run) {
    size_t at = run.at, end = run.at + run.count;
    for (; at + NORM_ROWS * period <= end; at += NORM_ROWS * period)
        norm_over_columns(body, context, at, period, period, NORM_ROWS);
    for (; at + period <= end; at += period)
        norm_over_columns(body, context, at, period, period, 1);
    if (at < end)
        norm_over_columns(body, context, at, period, end - at, 1);
}

ALWAYS_INLINE void norm_over_tile(norm_body *body, const void *context, const norm_view *v,
                                  int block, int tile) {
    size_t pixel = (size_t)tile * v->tile, end = norm_tile_end(v, tile);
    while (pixel < end) {
        norm_run run = norm_run_at(v, block, pixel, end);
        norm_over_run(body, context, v->period, run);
        pixel += run.count / (size_t)v->group;
    }
}

/* A block's channels as the rows have them: where they lie, or repeated to a period. */
static inline const float *norm_lanes(const norm_view *v, const float *channels, int block,
                                      float repeated[NORM_PERIOD]) {
    size_t group = (size_t)v->group;
    if (!channels)
        return NULL;
    channels += (size_t)block * group;
    if (v->period == group)
        return channels;
    for (size_t i = 0; i < v->period; i++)
        repeated[i] = channels[i % group];
    return repeated;
}

/* The sums of a period's lanes to those of the group. */
static inline void norm_fold(const norm_view *v, const float *lanes, float *group) {
    for (size_t i = 0; i < v->period; i++)
        group[i % (size_t)v->group] += lanes[i];
}

#endif
