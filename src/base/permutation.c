#include "base/permutation.h"

#include "base/feistel.h"
#include "base/random.h"

void permutation_start(permutation *self, int64_t n, uint64_t seed, uint32_t number) {
    *self = (permutation){.n = n, .half_bits = 1};
    while ((int64_t)1 << 2 * self->half_bits < n)
        self->half_bits++;
    random_block(seed, RANDOM_SHUFFLE, number, 0, self->round_keys);
    random_block(seed, RANDOM_SHUFFLE, number, 1, self->round_keys + 4);
}

int64_t permutation_at(const permutation *self, int64_t position) {
    return feistel_walk(self, position);
}
