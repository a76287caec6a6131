/* The order of an epoch: a pure function (seed, epoch, position) -> sample index that is a
 * permutation of [0, n) for every seed and epoch. It knows nothing of ranks. */
#ifndef LOCKSTEP_DATA_SAMPLER_H
#define LOCKSTEP_DATA_SAMPLER_H

#include <stdint.h>

typedef struct sampler {
    int64_t n;
    uint64_t seed;
    int epoch;
    int shuffled;           /* 0: identity (evaluation) */
    int half_bits;          /* of the Feistel network's halves */
    uint32_t round_keys[8]; /* from Philox(seed, RANDOM_SHUFFLE, epoch) */
} sampler;

void sampler_start(sampler *self, int64_t n, uint64_t seed, int epoch, int shuffled);

/* position in [0, n). */
int64_t sampler_index(const sampler *self, int64_t position);

#endif
