/* Marks a function that takes nearly all the time of a product or a convolution: optimised in a
 * debug build too, and without a sanitizer, for its bounds were checked before. */
#ifndef LOCKSTEP_EMULATED_HOT_H
#define LOCKSTEP_EMULATED_HOT_H

#if defined(__clang__) /* it has no such attribute */
#define HOT __attribute__((no_sanitize("address", "undefined")))
#else
#define HOT __attribute__((optimize("O3"), no_sanitize("address", "undefined")))
#endif

#endif
