#ifndef LOCKSTEP_BASE_VECTORISED_H
#define LOCKSTEP_BASE_VECTORISED_H

/* Marks a loop nest for which the compiler makes versions for wider vectors, chosen at start. No
 * products are contracted into sums: a loop's vectors and its remainder would do it differently,
 * and an element's bits would hang on where in the loop it stands. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(LOCKSTEP_NO_CLONES)
#define VECTORISED                                                                                 \
    __attribute__((target_clones("default", "avx2", "avx512f"), optimize("O3", "fp-contract="      \
                                                                               "off")))
#else
#define VECTORISED
#endif

/* Marks a function whose sums fill the registers of AVX-512, products contracted into them: to be
 * called only where has_wide_vectors(). Its elements must each be made the same way. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE_VECTORS       __attribute__((target("avx512f"), optimize("O3", "fp-contract=fast")))
#define has_wide_vectors() (__builtin_cpu_supports("avx512f") != 0)
/* Its products of pairs of bf16 (vdpbf16ps), too. */
#define has_wide_pairs() (has_wide_vectors() && __builtin_cpu_supports("avx512bf16") != 0)
#else
#define WIDE_VECTORS
#define has_wide_vectors() false
#define has_wide_pairs()   false
#endif

#endif
