/* Marks a function that takes nearly all the time of a product or a convolution: optimised in a
 * debug build too, and without a sanitizer, for its bounds were checked before. */
#ifndef LOCKSTEP_EMULATED_HOT_H
#define LOCKSTEP_EMULATED_HOT_H

#if defined(__clang__) /* it has no such attribute */
#define HOT __attribute__((no_sanitize("address", "undefined")))
#else
#define HOT __attribute__((optimize("O3"), no_sanitize("address", "undefined")))
#endif

/* The same with the CPU's wide vectors, where its loops add up element by element: no sum changes
 * its order, and AVX2 without FMA rounds as SSE2 does. (Sanitizers and functions that are chosen as
 * the program is loaded do not go together.) */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define WIDE HOT __attribute__((target_clones("avx2", "default")))
#else
#define WIDE HOT
#endif

#endif
