/* Matrices on the emulated device and their values on the host, for the tests of products. Values
 * are multiples of 1/16 in [-2, 2): exact in every type, TF32 among them, and so are their products
 * and short sums in fp32. Ends the program where it fails. */
#ifndef LOCKSTEP_TESTS_EMULATED_PRODUCT_FIXTURE_H
#define LOCKSTEP_TESTS_EMULATED_PRODUCT_FIXTURE_H

#include "device/ops.h"

typedef struct array {
    dtype type;
    size_t count;
    float *values; /* on the host */
    void *memory;
    char *device; /* where the array begins in it: `offset` elements in */
} array;

array array_new(device *gpu, device_stream *stream, dtype type, size_t count, size_t offset);
/* values become what the device has now. */
void array_read(device *gpu, device_stream *stream, array *self);
void array_free(device *gpu, array *self);

/* Whether `found` is `expected`, rounded once to the type. */
bool rounded_once(dtype type, double found, double expected);

#endif
