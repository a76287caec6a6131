/* The generator behind random.h, inline: one source for the host and for kernels (nvcc compiles
 * it for both). Philox4x32-10, section 3.2 of Salmon et al., SC'11. */
#ifndef LOCKSTEP_BASE_PHILOX_H
#define LOCKSTEP_BASE_PHILOX_H

#include "base/random.h"

#ifdef __CUDACC__
#define PHILOX_INLINE static __host__ __device__ inline
#else
#define PHILOX_INLINE static inline
#endif

/* The constants and the ten rounds of the paper. */
PHILOX_INLINE void philox4x32_10(uint32_t counter[4], uint32_t key0, uint32_t key1) {
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)0xD2511F53u * counter[0];
        uint64_t product1 = (uint64_t)0xCD9E8D57u * counter[2];
        uint32_t next0 = (uint32_t)(product1 >> 32) ^ counter[1] ^ key0;
        uint32_t next2 = (uint32_t)(product0 >> 32) ^ counter[3] ^ key1;
        counter[1] = (uint32_t)product1;
        counter[3] = (uint32_t)product0;
        counter[0] = next0;
        counter[2] = next2;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

/* random_block of random.h. The purpose takes the top byte of the counter's high word, so `high`
 * has 56 bits. */
PHILOX_INLINE void philox_block(uint64_t seed, random_purpose purpose, uint64_t high, uint64_t low,
                                uint32_t out[4]) {
    uint64_t top = (high & 0x00FFFFFFFFFFFFFFull) | (uint64_t)purpose << 56;
    out[0] = (uint32_t)low;
    out[1] = (uint32_t)(low >> 32);
    out[2] = (uint32_t)top;
    out[3] = (uint32_t)(top >> 32);
    philox4x32_10(out, (uint32_t)seed, (uint32_t)(seed >> 32));
}

#endif
