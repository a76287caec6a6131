/* Vectors of GNU C: where the compiler makes scalar branches of plain loops, or keeps no sums in
 * registers. A comparison gives a mask of ones or zeros. */
#ifndef LOCKSTEP_DEVICE_CPU_VECTORS_H
#define LOCKSTEP_DEVICE_CPU_VECTORS_H

#include <stdint.h>

typedef float floats16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t ints16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t words16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int16_t shorts16 __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint16_t halves16 __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint8_t bytes16 __attribute__((vector_size(16), aligned(1), may_alias));

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#endif
