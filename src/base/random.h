/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy
 * as 1, 2, 3", SC'11). A pure function of (key, counter): the same values on every device, at
 * any number of ranks, in any order. */
#ifndef LOCKSTEP_BASE_RANDOM_H
#define LOCKSTEP_BASE_RANDOM_H

#include <stdint.h>

/* What a number is drawn for: a different stream each, so that no two uses share numbers. */
typedef enum {
    RANDOM_INITIALISATION = 1,
    RANDOM_SHUFFLE = 2,
    RANDOM_AUGMENTATION = 3,
    RANDOM_SYNTHETIC = 4,
    RANDOM_DROPOUT = 5,
    RANDOM_MIXING = 6
} random_purpose;

/* Four 32-bit values of block (high, low) of the stream (seed, purpose). */
void random_block(uint64_t seed, random_purpose purpose, uint64_t high, uint64_t low,
                  uint32_t out[4]);

/* A float in [0, 1) with 24 bits of a 32-bit value. */
static inline float random_unit(uint32_t bits) {
    return (float)(bits >> 8) * 0x1p-24f;
}

#endif
