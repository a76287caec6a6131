#ifndef LOCKSTEP_BASE_VECTORISED_H
#define LOCKSTEP_BASE_VECTORISED_H

/* Marks a loop nest for which the compiler makes versions for wider vectors, chosen at start. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(LOCKSTEP_NO_CLONES)
#define VECTORISED __attribute__((target_clones("default", "avx2", "avx512f"), optimize("O3")))
#else
#define VECTORISED
#endif

#endif
