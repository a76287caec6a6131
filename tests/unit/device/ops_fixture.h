/* What the op tests share: a device under test, guarded device memory, tensors in any layout,
 * random values, comparisons. The host reaches device memory only through the device's copy. */
#ifndef LOCKSTEP_UNIT_DEVICE_OPS_FIXTURE_H
#define LOCKSTEP_UNIT_DEVICE_OPS_FIXTURE_H

#include "device/device.h"
#include "device/kinds/conv2d.h"
#include "device/kinds/linear.h"
#include "device/kinds/maxpool2d.h"
#include "device/ops.h"
#include "tests/support/op_calls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct subject {
    const char *name; /* "ref", "cpu", "cuda" */
    int threads;
    precision precision;
    dtype type; /* of activations */
    device *device;
    const ops *ops;
    device_stream *stream;
} subject;

/* Opens device `name` to be tested in a precision; exits with what the device says where it is
 * missing. */
subject subject_open(const char *name, int threads, precision precision);
void subject_close(subject *self);
/* The device is there and computes in the precision. */
bool subject_has(const char *name, precision precision);
tensor_layout subject_layout(const subject *s, layout_role role, int channels);

/* Ends the program with the error's text unless status is LS_OK. */
void must(int status, const ls_error *error);

/* --- checks: a failure is printed and counted; case_done prints the TAP line of all since the
 * last one, which begins with device, precision and threads. */
void expect(bool truth, const char *format, ...) __attribute__((format(printf, 2, 3)));
void case_done(const subject *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
int all_done(void); /* the exit status */

/* got = want, or |got - want| <= tolerance, everywhere; NaN is never close. */
void expect_close(const char *what, const float *got, const float *want, size_t count,
                  double tolerance);
/* For activations of the subject's type: `tolerance`, and what rounding `want` to the type once
 * may cost: its unit roundoff (bf16 2^-8, fp16 2^-11) of it, in fp16 at least half a subnormal. In
 * fp32 `tolerance` holds it already. */
void expect_close_stored(const subject *s, const char *what, const float *got, const float *want,
                         size_t count, double tolerance);
void expect_equal(const char *what, const float *got, const float *want, size_t count);

/* What fp32 may differ from double in a sum of `length` products of magnitude at most 1 with
 * random signs. The partial sums grow as sqrt(k), each of the `length` additions rounds one by
 * 2^-24 of its size, and these errors have random signs too: 2^-24 * length / sqrt(2) is one
 * standard deviation. Four of them, and a little for short sums. */
double sum_tolerance(size_t length);

/* --- host arrays, ended by free() */
float *floats(size_t count);
/* Uniform in [low, high), a pure function of `stream`. */
float *random_floats(size_t count, uint64_t stream, float low, float high);
/* To what the precision's products take: bf16, fp16 or tf32's 10 bits of fraction, to nearest even
 * (by arithmetic, apart from base/float16.h, which it checks). */
float rounded_to(precision precision, float value);
float *rounded_copy(precision precision, const float *values, size_t count);
/* random_floats, rounded: what an activation can hold. */
float *random_values(const subject *s, size_t count, uint64_t stream, float low, float high);
/* In [-1, 1), rounded where the precision is tf32: its products may take them as they are. */
float *random_weights(const subject *s, size_t count, uint64_t stream);

/* --- device memory with guard bytes on both sides, filled with NaNs: what an op leaves unwritten
 * or adds to shows, and what it writes outside is found by array_free. */
typedef struct array {
    char *base;
    void *memory;
    size_t bytes;
} array;

array array_new(subject *s, size_t bytes);
array array_of(subject *s, const void *host, size_t bytes);
void array_get(subject *s, const array *from, void *host);
void array_free(subject *s, array *self);

/* Activations in a row: fp32 on the host, the subject's type on the device. */
array values_new(subject *s, size_t count);
array values_of(subject *s, const float *host, size_t count);
float *values_get(subject *s, const array *from, size_t count);

/* --- activations: canonical [n, h, w, c] on the host, in a layout on the device */
typedef struct dims {
    int n, height, width, channels;
} dims;

static inline size_t dims_count(dims d) {
    return (size_t)d.n * (size_t)d.height * (size_t)d.width * (size_t)d.channels;
}
const char *layout_name(tensor_layout layout);
size_t layout_elements(tensor_layout layout, dims d);
array tensor_new(subject *s, tensor_layout layout, dims d);
array tensor_of(subject *s, tensor_layout layout, dims d, const float *canonical);
float *tensor_get(subject *s, tensor_layout layout, dims d, const array *from);

/* Parameters lie anywhere in a flat array: `skip` floats into the memory. */
enum { PARAMETER_SKIP = 3 };
array parameters_of(subject *s, const float *host, size_t count);
array parameters_new(subject *s, size_t count);
float *parameters_at(const array *self);
float *parameters_get(subject *s, const array *self, size_t count);

/* --- central finite differences. `loss` is evaluated with values[i] moved up and down by `step`;
 * *signature tells which linear piece it was on (0 where the loss is smooth): where the two sides
 * differ, the difference says nothing and is skipped. Every `stride`-th value is tried. */
typedef struct differences {
    double (*loss)(void *context, uint64_t *signature);
    void *context;
    float step;
    size_t stride;
    double tolerance;
} differences;

void expect_gradient(const char *what, const differences *how, float *values, const float *gradient,
                     size_t count);
/* A signature of which elements are positive. */
uint64_t signs_of(const float *values, size_t count);

/* --- the tests: each for one device under test in its precision. ref is an open ref device in
 * fp32: the truth is what it gives for the rounded values that went in. */
void test_conv2d(subject *s, subject *ref);
void test_conv2d_differences(subject *s, subject *ref);
void test_linear(subject *s, subject *ref);
void test_elementwise(subject *s);
void test_loss(subject *s, subject *ref);
void test_batch(subject *s);
void test_augmentation(subject *s);
void test_device(subject *s);
void test_cast(subject *s);
void test_check_finite(subject *s);
void test_advance(subject *s);
void test_begin_epoch(subject *s);
void test_sums_of_squares(subject *s);
void test_clip_norm(subject *s);
void test_fingerprint(subject *s);
void test_optimizer(subject *s);
void test_packed_copies(subject *s);
void test_by_hand(subject *s);
/* Apart from precisions: what the device refuses, and what it lacks. */
void test_kinds(subject *s);
void test_refusals(subject *s);

#endif
