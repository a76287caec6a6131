#include "data/sampler.h"

#include "base/random.h"

/* Murmur3's 32-bit finaliser: every input bit reaches every output bit. */
static uint32_t mix(uint32_t value) {
    value ^= value >> 16;
    value *= 0x85EBCA6Bu;
    value ^= value >> 13;
    value *= 0xC2B2AE35u;
    return value ^ value >> 16;
}

void sampler_start(sampler *self, int64_t n, uint64_t seed, int epoch, int shuffled) {
    *self = (sampler){.n = n, .seed = seed, .epoch = epoch, .shuffled = shuffled, .half_bits = 1};
    while ((int64_t)1 << 2 * self->half_bits < n)
        self->half_bits++;
    random_block(seed, RANDOM_SHUFFLE, (uint64_t)(uint32_t)epoch, 0, self->round_keys);
    random_block(seed, RANDOM_SHUFFLE, (uint64_t)(uint32_t)epoch, 1, self->round_keys + 4);
}

/* A Feistel network is a permutation of [0, 4^half_bits) whatever its round function. */
static uint64_t feistel(const sampler *self, uint64_t value) {
    uint32_t mask = ((uint32_t)1 << self->half_bits) - 1;
    uint32_t left = (uint32_t)(value >> self->half_bits);
    uint32_t right = (uint32_t)value & mask;
    for (int round = 0; round < 8; round++) {
        uint32_t next = left ^ (mix(right ^ self->round_keys[round]) & mask);
        left = right;
        right = next;
    }
    return (uint64_t)left << self->half_bits | right;
}

/* Cycle walking (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002): apply the
 * permutation of the larger domain until the value falls into [0, n). It ends, because the walk
 * follows the cycle that the position itself lies on; the domain is below 4n, so it is short. */
int64_t sampler_index(const sampler *self, int64_t position) {
    if (!self->shuffled)
        return position;
    uint64_t value = (uint64_t)position;
    do
        value = feistel(self, value);
    while (value >= (uint64_t)self->n);
    return (int64_t)value;
}
