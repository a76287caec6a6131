/* Sums of squares, grain by grain: what a norm is made of. C and C++: kernels include it. */
#ifndef LOCKSTEP_DEVICE_SQUARES_H
#define LOCKSTEP_DEVICE_SQUARES_H

#include <stddef.h>

enum { SQUARES_GRAIN = 1024 }; /* elements */

/* Of `count` elements; the last may be shorter. */
static inline size_t squares_grains(size_t count) {
    return (count + SQUARES_GRAIN - 1) / SQUARES_GRAIN;
}

#endif
