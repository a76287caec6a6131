/* A form's vectors (forms.h), in GNU C: where the compiler makes scalar branches of plain loops, or
 * keeps no sums in registers. A comparison gives a mask of ones or zeros. */
#ifndef LOCKSTEP_DEVICE_CPU_VECTORS_H
#define LOCKSTEP_DEVICE_CPU_VECTORS_H

#include "device/cpu/unroll.h"

#include <stdint.h>

/* Values of 32 bits in a vector, and how many vectors there are. */
#if defined(__AVX512F__)
#define CPU_LANES     16
#define CPU_REGISTERS 32
#elif defined(__AVX2__)
#define CPU_LANES     8
#define CPU_REGISTERS 16
#elif defined(__aarch64__)
#define CPU_LANES     4
#define CPU_REGISTERS 32
#else
#define CPU_LANES     4
#define CPU_REGISTERS 16
#endif

enum { LANES = CPU_LANES };

#define CPU_VECTOR(bytes_each) __attribute__((vector_size(CPU_LANES * (bytes_each)), may_alias))
#define CPU_VECTOR_THERE(bytes_each)                                                               \
    __attribute__((vector_size(CPU_LANES * (bytes_each)), aligned(bytes_each), may_alias))

typedef float floats CPU_VECTOR(4);
typedef int32_t ints CPU_VECTOR(4);
typedef uint32_t words CPU_VECTOR(4);
typedef int16_t shorts CPU_VECTOR(2);
typedef uint16_t halves CPU_VECTOR(2);
typedef uint8_t bytes CPU_VECTOR(1);

/* The same in an array, which may begin anywhere. To be cast to and read or written through, never
 * a variable's type: GCC 13 and 14 take such a variable for aligned where another one of its
 * function is, and fault where AddressSanitizer keeps it in a frame of its own that is not. */
typedef float floats_there CPU_VECTOR_THERE(4);
typedef int32_t ints_there CPU_VECTOR_THERE(4);
typedef uint32_t words_there CPU_VECTOR_THERE(4);
typedef int16_t shorts_there CPU_VECTOR_THERE(2);
typedef uint16_t halves_there CPU_VECTOR_THERE(2);
typedef uint8_t bytes_there CPU_VECTOR_THERE(1);

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#endif
