/* Batch normalisation's loops. A tensor is seen as blocks of `group` channels that lie side by side
 * (all of them channels last, those of a plane in NCHW16C and NCHW8C, one in NCHW), and a block's
 * pixels, image after image, are cut into tiles. A tile is one thread's; how tiles are cut is the
 * shape's alone, and their sums are added up in their order, so that a value is summed in one order
 * whatever the number of threads. In a tile sums are fp32, of few values, around one of the tile's
 * own; between tiles they are in double.
 *
 * Forward passes over x twice (sums; y), backward over x and dy twice (sums; dx). */
#ifndef LOCKSTEP_DEVICE_CPU_NORM_H
#define LOCKSTEP_DEVICE_CPU_NORM_H

#include "device/kinds/batchnorm2d.h"

enum { NORM_PERIOD = 16 }; /* lanes of the loops where fewer channels lie side by side */

typedef struct norm_view {
    int channels, group, blocks;
    /* Values after which the channels repeat, as the loops have it: the group, or NORM_PERIOD where
     * that holds the group several times. */
    size_t period;
    size_t pixels, run;  /* of a block in all; those that lie one behind the other */
    size_t image, block; /* elements between images, between blocks */
    size_t tile;         /* pixels of a tile; a block's last one may have fewer */
    int tiles;           /* of a block */
} norm_view;

norm_view cpu_norm_view(const batchnorm2d_shape *shape);

/* What the loops read beside x, and write: [channels] each. */
typedef struct norm_channels {
    const float *mean, *scale; /* scale: gamma / standard deviation */
    const float *beta;         /* forward, and backward where it masks by x */
    const float *slope, *base; /* backward: dx = scale * dy + slope * (x - mean) + base */
} norm_channels;

/* How backward knows where the ReLU let y through. */
typedef enum { NORM_UNMASKED, NORM_MASKED_BY_X, NORM_MASKED_BY_Y } norm_mask;

/* A call of a loop, for one tile at a time. */
typedef struct norm_job {
    norm_view view;
    dtype type;
    const void *x, *other; /* other NULL: nothing is added */
    void *y;               /* forward writes it, a backward that is masked by it reads it */
    const void *dy;
    void *dx, *masked_dy; /* masked_dy NULL: not wanted */
    norm_channels channels;
    norm_mask mask;
    bool relu;
    bool streams; /* what is written goes past the caches */
} norm_job;

/* Of a tile, a block's channels each; partial: [3][group]. Of x: the value that it is summed
 * around, the sum and the sum of squares of what x is away from it. */
void cpu_norm_sums(const norm_job *self, int block, int tile, float *partial);
void cpu_norm_forward(const norm_job *self, int block, int tile);
/* The sum of the masked dy, and of that times (x - mean), and nothing; writes masked_dy. */
void cpu_norm_backward_sums(const norm_job *self, int block, int tile, float *partial);
void cpu_norm_backward(const norm_job *self, int block, int tile);

/* --- what the loops share: a tile's pixels as they lie, in values */
typedef struct norm_run {
    size_t at, count;
} norm_run;

/* From `pixel` of a block on, at most to `end`. */
static inline norm_run norm_run_at(const norm_view *v, int block, size_t pixel, size_t end) {
    size_t within = pixel % v->run, group = (size_t)v->group;
    size_t left = v->run - within, wanted = end - pixel;
    return (norm_run){pixel / v->run * v->image + (size_t)block * v->block + within * group,
                      (left < wanted ? left : wanted) * group};
}

static inline size_t norm_tile_end(const norm_view *v, int tile) {
    size_t end = ((size_t)tile + 1) * v->tile;
    return end < v->pixels ? end : v->pixels;
}

#endif
