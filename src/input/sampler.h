/* The order of an epoch: a pure function (seed, epoch, position) -> sample index that is a
 * permutation of [0, n) for every seed and epoch. It knows nothing of ranks. */
#ifndef LOCKSTEP_INPUT_SAMPLER_H
#define LOCKSTEP_INPUT_SAMPLER_H

#include "base/permutation.h"

#include <stdbool.h>

typedef struct sampler {
    permutation order;
    bool shuffled; /* false: identity (evaluation) */
} sampler;

static inline void sampler_start(sampler *self, int64_t n, uint64_t seed, int epoch,
                                 bool shuffled) {
    self->shuffled = shuffled;
    permutation_start(&self->order, n, seed, (uint32_t)epoch);
}

/* position in [0, n). */
static inline int64_t sampler_index(const sampler *self, int64_t position) {
    return self->shuffled ? permutation_at(&self->order, position) : position;
}

#endif
