/* permutation_at of permutation.h, inline: one source for the host and for kernels (nvcc compiles
 * it for both). */
#ifndef LOCKSTEP_BASE_FEISTEL_H
#define LOCKSTEP_BASE_FEISTEL_H

#include "base/permutation.h"

#ifdef __CUDACC__
#define FEISTEL_INLINE static __host__ __device__ inline
#else
#define FEISTEL_INLINE static inline
#endif

/* Murmur3's 32-bit finaliser: every input bit reaches every output bit. */
FEISTEL_INLINE uint32_t feistel_mix(uint32_t value) {
    value ^= value >> 16;
    value *= 0x85EBCA6Bu;
    value ^= value >> 13;
    value *= 0xC2B2AE35u;
    return value ^ value >> 16;
}

/* A Feistel network is a permutation of [0, 4^half_bits) whatever its round function. */
FEISTEL_INLINE uint64_t feistel(const permutation *self, uint64_t value) {
    uint32_t mask = ((uint32_t)1 << self->half_bits) - 1;
    uint32_t left = (uint32_t)(value >> self->half_bits);
    uint32_t right = (uint32_t)value & mask;
    for (int round = 0; round < 8; round++) {
        uint32_t next = left ^ (feistel_mix(right ^ self->round_keys[round]) & mask);
        left = right;
        right = next;
    }
    return (uint64_t)left << self->half_bits | right;
}

/* Cycle walking (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002): apply the
 * permutation of the larger domain until the value falls into [0, n). It ends, because the walk
 * follows the cycle that the position itself lies on; the domain is below 4n, so it is short. */
FEISTEL_INLINE int64_t feistel_walk(const permutation *self, int64_t position) {
    uint64_t value = (uint64_t)position;
    do
        value = feistel(self, value);
    while (value >= (uint64_t)self->n);
    return (int64_t)value;
}

#endif
