/* What the two tests of convolutions share. check.h keeps its counts in each file that includes it:
 * the fixture ends the program where it fails. */
#ifndef LOCKSTEP_TESTS_EMULATED_CONVOLUTION_FIXTURE_H
#define LOCKSTEP_TESTS_EMULATED_CONVOLUTION_FIXTURE_H

#include "device/kinds/conv2d.h"
#include "device/ops.h"
#include "tests/support/op_calls.h"

#define MUST(call)                                                                                 \
    do {                                                                                           \
        ls_error error = {0};                                                                      \
        int status = (call);                                                                       \
        CHECK(status == LS_OK, "%d: %s", status, error.text);                                      \
    } while (0)

/* Of this process's own: closed by the caller. `plan_cache` "": none. */
device *fixture_gpu(const char *plan_cache);
device_stream *fixture_stream(device *gpu);
plan *fixture_plan(device *gpu, const conv2d_shape *shape);

/* An input of `size` times size + 1; with a ReLU where the number of outputs is even. */
conv2d_shape fixture_shape(int n, int size, int in, int out, int kernel, int stride, int padding,
                           precision wanted);

#endif
