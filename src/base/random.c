#include "base/random.h"

#include "base/philox.h"

void random_block(uint64_t seed, random_purpose purpose, uint64_t high, uint64_t low,
                  uint32_t out[4]) {
    philox_block(seed, purpose, high, low, out);
}
