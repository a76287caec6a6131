#ifndef LOCKSTEP_DEVICE_CPU_UNROLL_H
#define LOCKSTEP_DEVICE_CPU_UNROLL_H

/* Before a loop of a constant number of turns, at most `most`: sums in an array stay in registers
 * only where it is unrolled. clang does not know GCC's pragma, and says nothing. */
#define CPU_PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define CPU_UNROLL(most) CPU_PRAGMA(clang loop unroll(full))
#else
#define CPU_UNROLL(most) CPU_PRAGMA(GCC unroll most)
#endif

#endif
