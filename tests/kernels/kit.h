/* What the kernel tests share: device memory with guards at any alignment, values in any type. The
 * launchers of cuda/kernels/kernels.h are called as they are, without a device above them. */
#ifndef LOCKSTEP_TESTS_KERNELS_KIT_H
#define LOCKSTEP_TESTS_KERNELS_KIT_H

#include "base/dtype.h"
#include "cuda/kernels/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A failed check is printed and counted; case_done prints the TAP line of all since the last. */
void expect(bool truth, const char *format, ...) __attribute__((format(printf, 2, 3)));
void case_done(const char *format, ...) __attribute__((format(printf, 1, 2)));
int all_done(void); /* the exit status */

/* Ends the program where a CUDA call fails. */
#define MUST(call) must_succeed((call), #call)
void must_succeed(cudaError_t status, const char *what);

/* `at` lies `skew` bytes behind a multiple of 256, with guard bytes on both sides. */
typedef struct memory {
    char *base, *at;
    size_t skew, bytes;
} memory;

memory memory_new(size_t bytes, size_t skew, const void *host); /* host NULL: every byte 0xFF */
void memory_get(const memory *self, void *host);
void memory_free(memory *self); /* a guard that was written to fails the case */

/* Host arrays, ended by free(). Uniform in [-1, 1), a pure function of `stream`. */
float *random_values(size_t count, uint64_t stream);
void *zeroed(size_t bytes);

/* One value of a type, rounded as base/float16.h does; and the way back. */
void put(dtype type, void *array, size_t at, float value);
float get(dtype type, const void *array, size_t at);
/* values[count] rounded to a type, on the heap. */
void *encoded(dtype type, const float *values, size_t count);

static const dtype every_type[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};

/* --- the tests */
void test_column_sums(void);
void test_sums_of_squares(void);
void test_fingerprint(void);
void test_loss_over_blocks(void);
void test_casts(void);
void test_finite(void);
void test_adam_ranges(void);
void test_sgd_ranges(void);
void test_alignments(void);
void test_direct(void);
void test_pool_sums(void);
void test_norm(void);
void test_layernorm(void);
void test_tokens(void);

#endif
