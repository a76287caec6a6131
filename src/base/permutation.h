/* A pseudorandom permutation of [0, n): a pure function (seed, number, position) -> index, by a
 * Feistel network, without a table. */
#ifndef LOCKSTEP_BASE_PERMUTATION_H
#define LOCKSTEP_BASE_PERMUTATION_H

#include <stdint.h>

typedef struct permutation {
    int64_t n;
    int half_bits;          /* of the Feistel network's halves */
    uint32_t round_keys[8]; /* from Philox(seed, RANDOM_SHUFFLE, number) */
} permutation;

/* `number`: which of the seed's, an epoch, say. */
void permutation_start(permutation *self, int64_t n, uint64_t seed, uint32_t number);

/* position in [0, n). */
int64_t permutation_at(const permutation *self, int64_t position);

#endif
