/* The order of an epoch: a pure function (seed, epoch, position) -> sample index that is a
 * permutation of [0, n) for every seed and epoch. It knows nothing of ranks.
 *
 * A full shuffle is one permutation of all samples. A block shuffle keeps a data set readable in
 * long stretches: blocks of neighbouring samples are permuted, and each window of so many blocks in
 * that order has its samples permuted. Its quality: the samples of a block lie within one window of
 * each other in every epoch, and a window holds blocks from anywhere, anew in each epoch; a batch
 * is drawn from at least `window` blocks or all, but for the one that begins in one window and ends
 * in the next. */
#ifndef LOCKSTEP_INPUT_SAMPLER_H
#define LOCKSTEP_INPUT_SAMPLER_H

#include "base/permutation.h"

#include <stdbool.h>

/* Of a block shuffle: samples a block, blocks a window. window 0: a full shuffle. */
typedef struct sampler_blocks {
    int64_t block, window;
} sampler_blocks;

typedef struct sampler {
    permutation order; /* of samples, or of blocks */
    bool shuffled;     /* false: identity (evaluation) */
    sampler_blocks blocks;
    uint64_t seed;
    int epoch;
    int64_t n;
    int64_t last_at; /* the place of the last, shorter block in the order of blocks */
    int64_t lack;    /* samples that it has less than the others */
} sampler;

void sampler_start_blocks(sampler *self, int64_t n, uint64_t seed, int epoch,
                          sampler_blocks blocks);
int64_t sampler_block_index(const sampler *self, int64_t position);

/* Of a block shuffle: the window of a position; block `index` of a window, or -1 behind the last.
 */
int64_t sampler_window(const sampler *self, int64_t position);
int64_t sampler_window_block(const sampler *self, int64_t window, int64_t index);

static inline void sampler_start(sampler *self, int64_t n, uint64_t seed, int epoch,
                                 bool shuffled) {
    *self = (sampler){.shuffled = shuffled, .seed = seed, .epoch = epoch, .n = n};
    permutation_start(&self->order, n, seed, (uint32_t)epoch);
}

/* position in [0, n). */
static inline int64_t sampler_index(const sampler *self, int64_t position) {
    if (self->blocks.window > 0)
        return sampler_block_index(self, position);
    return self->shuffled ? permutation_at(&self->order, position) : position;
}

#endif
