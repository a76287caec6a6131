#include "input/sampler.h"

/* Of windows' permutations, so that they are not those of the blocks. */
static const uint64_t windows_seed = 0x9E3779B97F4A7C15u;

static int64_t block_count(const sampler *self) {
    return (self->n + self->blocks.block - 1) / self->blocks.block;
}

void sampler_start_blocks(sampler *self, int64_t n, uint64_t seed, int epoch,
                          sampler_blocks blocks) {
    *self = (sampler){.shuffled = true, .blocks = blocks, .seed = seed, .epoch = epoch, .n = n};
    int64_t count = block_count(self);
    self->lack = count * blocks.block - n;
    permutation_start(&self->order, count, seed, (uint32_t)epoch);
    while (permutation_at(&self->order, self->last_at) != count - 1)
        self->last_at++;
}

/* Samples in a full window; the first position of a window. */
static int64_t stride_of(const sampler *self) {
    return self->blocks.window * self->blocks.block;
}

static int64_t start_of(const sampler *self, int64_t window) {
    int64_t start =
        window * stride_of(self) - (window * self->blocks.window > self->last_at ? self->lack : 0);
    return start < self->n ? start : self->n;
}

int64_t sampler_window(const sampler *self, int64_t position) {
    int64_t window = position / stride_of(self);
    return position >= start_of(self, window + 1) ? window + 1 : window;
}

int64_t sampler_window_block(const sampler *self, int64_t window, int64_t index) {
    int64_t at = window * self->blocks.window + index;
    bool there = index < self->blocks.window && at < block_count(self);
    return there ? permutation_at(&self->order, at) : -1;
}

int64_t sampler_block_index(const sampler *self, int64_t position) {
    int64_t window = sampler_window(self, position), start = start_of(self, window);
    int64_t block = self->blocks.block, first = window * self->blocks.window;
    permutation inside;
    permutation_start(&inside, start_of(self, window + 1) - start, self->seed ^ windows_seed,
                      (uint32_t)self->epoch * 0x9E3779B1u + (uint32_t)window);
    int64_t at = permutation_at(&inside, position - start);
    /* Behind the shorter block, as if it were a full one. */
    int64_t short_end = (self->last_at - first + 1) * block - self->lack;
    if (self->last_at >= first && at >= short_end)
        at += self->lack;
    return permutation_at(&self->order, first + at / block) * block + at % block;
}
