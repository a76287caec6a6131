/* Elements scaled, or left out by random numbers (device/kinds/dropout.h). Philox's blocks are made
 * side by side, in loops over them that compilers turn into vectors: the numbers of
 * base/philox.h. */
#include "base/float16.h"
#include "base/random.h"
#include "device/cpu/dropout.h"
#include "device/cpu/forms.h"

enum { BLOCKS = 16, ELEMENTS = 4 * BLOCKS };

/* Blocks `first`, first + 1, ... of (seed, counter): drawn[4 * b + i] is value i of block b. */
static void draw(uint64_t seed, uint64_t counter, uint64_t first, uint32_t drawn[ELEMENTS]) {
    uint32_t c[4][BLOCKS], key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    uint64_t high = (counter & 0x00FFFFFFFFFFFFFFull) | (uint64_t)RANDOM_DROPOUT << 56;
    for (int b = 0; b < BLOCKS; b++) {
        c[0][b] = (uint32_t)(first + (uint64_t)b);
        c[1][b] = (uint32_t)((first + (uint64_t)b) >> 32);
        c[2][b] = (uint32_t)high;
        c[3][b] = (uint32_t)(high >> 32);
    }
    for (int round = 0; round < 10; round++) {
        for (int b = 0; b < BLOCKS; b++) {
            uint64_t product0 = (uint64_t)0xD2511F53u * c[0][b];
            uint64_t product1 = (uint64_t)0xCD9E8D57u * c[2][b];
            c[0][b] = (uint32_t)(product1 >> 32) ^ c[1][b] ^ key0;
            c[2][b] = (uint32_t)(product0 >> 32) ^ c[3][b] ^ key1;
            c[1][b] = (uint32_t)product1;
            c[3][b] = (uint32_t)product0;
        }
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    for (int b = 0; b < BLOCKS; b++)
        for (int i = 0; i < 4; i++)
            drawn[4 * b + i] = c[i][b];
}

/* At most ELEMENTS of them, from `at` on. */
static void some(const dropout_job *self, size_t at, size_t count, const uint32_t *drawn) {
    uint32_t least = self->least;
    if (self->type == DTYPE_BF16) {
        const uint16_t *from = (const uint16_t *)self->from + at;
        uint16_t *to = (uint16_t *)self->to + at;
        for (size_t i = 0; i < count; i++)
            to[i] = drawn[i] >= least ? bf16_of_float(bf16_to_float(from[i]) * self->scale) : 0;
        return;
    }
    const float *from = (const float *)self->from + at;
    float *to = (float *)self->to + at;
    for (size_t i = 0; i < count; i++)
        to[i] = drawn[i] >= least ? from[i] * self->scale : 0;
}

void cpu_drop_elements(const dropout_job *self) {
    uint32_t drawn[ELEMENTS] = {0};
    for (size_t at = 0; at < self->count; at += ELEMENTS) {
        size_t rest = self->count - at;
        if (self->least > 0)
            draw(self->seed, self->counter, self->block + at / 4, drawn);
        some(self, at, rest < ELEMENTS ? rest : ELEMENTS, drawn);
    }
}
