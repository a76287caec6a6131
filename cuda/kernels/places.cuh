// Where a thread of a grid over images works: N channels of one place, which are numbered row by
// row, image by image.
#ifndef LOCKSTEP_CUDA_KERNELS_PLACES_CUH
#define LOCKSTEP_CUDA_KERNELS_PLACES_CUH

#include "cuda/kernels/divisor.cuh"

typedef struct place_grid {
    uint32_t count; // of threads with work
    divisor groups; // of N channels
    divisor across, down;
} place_grid;

typedef struct place {
    uint32_t group, column, row, image;
} place;

__device__ static inline place place_of(uint32_t index, const place_grid &grid) {
    place p;
    uint32_t at = divide(index, grid.groups, &p.group);
    uint32_t line = divide(at, grid.across, &p.column);
    p.image = divide(line, grid.down, &p.row);
    return p;
}

// Host. `groups` of channels at each place of n images of down x across; false: too many to number.
static inline bool place_grid_for(int n, int down, int across, int groups, place_grid *out) {
    uint64_t count = (uint64_t)n * (uint64_t)down * (uint64_t)across * (uint64_t)groups;
    if (count > INT32_MAX)
        return false;
    *out = {(uint32_t)count, divisor_of((uint32_t)groups), divisor_of((uint32_t)across),
            divisor_of((uint32_t)down)};
    return true;
}

#endif
