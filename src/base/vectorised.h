#ifndef LOCKSTEP_BASE_VECTORISED_H
#define LOCKSTEP_BASE_VECTORISED_H

/* Marks a loop nest for which the compiler makes versions for wider vectors, chosen at start. No
 * products are contracted into sums: a loop's vectors and its remainder would do it differently,
 * and an element's bits would depend on where in the loop it stands. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(LOCKSTEP_NO_CLONES)
#define VECTORISED                                                                                 \
    __attribute__((target_clones("default", "avx2", "avx512f"), optimize("O3", "fp-contract="      \
                                                                               "off")))
#else
#define VECTORISED
#endif

/* In front of a loop whose elements do not depend on one another, though their arrays may be one.
 */
#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

#endif
