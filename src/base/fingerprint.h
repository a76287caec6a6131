/* What two flat arrays of floats are compared by without keeping them: a hash of their bits, and a
 * sketch from which the distance of two arrays is estimated. Both are sums over the elements,
 * modulo 2^64, of terms that depend on the element and its position alone: parts may be added up in
 * any order, by any number of threads, on any device, and give the same 64-bit words. One source
 * for the host and for kernels. Compared, not trusted: no protection against who means harm.
 *
 * The hash: each term is the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast Splittable
 * Pseudorandom Number Generators", OOPSLA 2014; constants: Stafford's variant 13), a bijection, of
 * word + (position + 1) * gamma. One changed element always changes the sum, two exchanged ones
 * too but for a coincidence of about 2^-64, as any other change.
 *
 * The sketch: FINGERPRINT_BUCKETS sums; each element, times a pseudorandom sign, goes to one of
 * them, also pseudorandom. It is linear, and the sum of squares of a sketch has the array's squared
 * norm as its mean and at most 2 / FINGERPRINT_BUCKETS of its square as its variance (Alon, Matias
 * and Szegedy, "The Space Complexity of Approximating the Frequency Moments", STOC 1996; with one
 * bucket an element: Thorup and Zhang, "Tabulation Based 4-Universal Hashing with Applications to
 * Second Moment Estimation", SODA 2004, section 1.1, after the sketch of Charikar, Chen and
 * Farach-Colton, ICALP 2002). So a norm, and the norm of a difference, has a standard error of
 * 1 / sqrt(2 * 128) = 6%, their ratio of 9%. Elements are counted in units of 2^-40, so that sums
 * are exact; beyond +-1024, and where they are no number, they count as 1024. */
#ifndef LOCKSTEP_BASE_FINGERPRINT_H
#define LOCKSTEP_BASE_FINGERPRINT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#define FINGERPRINT_INLINE static __host__ __device__ inline
#else
#define FINGERPRINT_INLINE static inline
#endif

enum { FINGERPRINT_BUCKETS = 128 };

/* Of a sketch's words, as integers of two's complement: 2^-40. */
#define FINGERPRINT_UNIT 0x1p-40

typedef struct fingerprint {
    uint64_t hash;
    uint64_t sketch[FINGERPRINT_BUCKETS];
} fingerprint;

#define FINGERPRINT_GAMMA 0x9e3779b97f4a7c15ull

FINGERPRINT_INLINE uint64_t fingerprint_mix(uint64_t word) {
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ull;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebull;
    return word ^ (word >> 31);
}

/* The hash's term of `word` at `position` (0, 1, ...). */
FINGERPRINT_INLINE uint64_t fingerprint_term(uint64_t position, uint64_t word) {
    return fingerprint_mix(word + (position + 1) * FINGERPRINT_GAMMA);
}

FINGERPRINT_INLINE uint32_t fingerprint_bits(float value) {
    union {
        float value;
        uint32_t bits;
    } both = {value};
    return both.bits;
}

/* value in units of 2^-40, to nearest even: between 4096 and 8192 a double's last bit is one. */
FINGERPRINT_INLINE uint64_t fingerprint_fixed(float value) {
    float limited = value < 1024.0f ? value : 1024.0f;
    limited = limited > -1024.0f ? limited : -1024.0f;
    union {
        double value;
        uint64_t bits;
    } shifted = {(double)limited + 6144.0};
    return shifted.bits - 0x40b8000000000000ull; /* 6144's */
}

/* How the elements [128 b, 128 (b + 1)) go to the buckets: element j of them, negated where bit
 * j % 64 of signs[j / 64] is set, to bucket (j + rotation) % 128. No two of a block meet, and two
 * of different blocks with a chance of 1/128. */
typedef struct fingerprint_block {
    uint64_t signs[FINGERPRINT_BUCKETS / 64];
    unsigned rotation;
} fingerprint_block;

FINGERPRINT_INLINE fingerprint_block fingerprint_block_at(uint64_t block) {
    const uint64_t start = 0x6c6f636b73746570ull; /* a stream of its own */
    fingerprint_block out;
    out.signs[0] = fingerprint_mix(start + (3 * block) * FINGERPRINT_GAMMA);
    out.signs[1] = fingerprint_mix(start + (3 * block + 1) * FINGERPRINT_GAMMA);
    out.rotation = (unsigned)(fingerprint_mix(start + (3 * block + 2) * FINGERPRINT_GAMMA) >> 57);
    return out;
}

/* All ones where element j of its block is negated, else 0: (x ^ mask) - mask is x with its sign.
 */
FINGERPRINT_INLINE uint64_t fingerprint_sign(const fingerprint_block *block, unsigned j) {
    uint64_t signs = j < 64 ? block->signs[0] : block->signs[1]; /* registers have no index */
    return 0 - ((signs >> (j % 64)) & 1);
}

#endif
