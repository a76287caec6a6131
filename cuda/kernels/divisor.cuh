// Division of 31-bit numbers by one that is known before the launch, by a multiplication and a
// shift: Granlund and Montgomery, "Division by Invariant Integers using Multiplication", PLDI 1994,
// section 4 (the round-up method; the sum in it does not overflow for dividends below 2^31).
#ifndef LOCKSTEP_CUDA_KERNELS_DIVISOR_CUH
#define LOCKSTEP_CUDA_KERNELS_DIVISOR_CUH

#include "cuda/kernels/launch.cuh"

#include <stdint.h>

typedef struct divisor {
    uint32_t value, magic, shift;
} divisor;

// Host. 1 <= value < 2^31.
static inline divisor divisor_of(uint32_t value) {
    divisor self = {value, 0, 0};
    while (((uint64_t)1 << self.shift) < value)
        self.shift++;
    uint64_t excess = ((uint64_t)1 << self.shift) - value;
    self.magic = (uint32_t)((excess << 32) / value + 1);
    return self;
}

// *remainder of dividend / by, which it returns; dividend < 2^31.
__device__ static inline uint32_t divide(uint32_t dividend, divisor by, uint32_t *remainder) {
    uint32_t high = (uint32_t)(((uint64_t)dividend * by.magic) >> 32);
    uint32_t quotient = (high + dividend) >> by.shift;
    *remainder = dividend - quotient * by.value;
    return quotient;
}

#endif
