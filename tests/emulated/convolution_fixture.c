#include "convolution_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define MUST_WORK(call)                                                                            \
    do {                                                                                           \
        ls_error error = {0};                                                                      \
        if ((call) != LS_OK) {                                                                     \
            printf("Bail out! %s\n", error.text);                                                  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

extern const device_interface device_cuda;

device *fixture_gpu(const char *plan_cache) {
    device *gpu = NULL;
    device_request request = {.local_size = 1, .threads = 1, .plan_cache = plan_cache};
    MUST_WORK(device_cuda.open(&request, &gpu, &error));
    return gpu;
}

device_stream *fixture_stream(device *gpu) {
    device_stream *stream = NULL;
    MUST_WORK(gpu->is->stream_create(gpu, &stream, &error));
    return stream;
}

plan *fixture_plan(device *gpu, const conv2d_shape *shape) {
    plan *made = NULL;
    MUST_WORK(op_prepare(gpu, &op_conv2d, shape, NULL, &made, &error));
    return made;
}

conv2d_shape fixture_shape(int n, int size, int in, int out, int kernel, int stride, int padding,
                           precision wanted) {
    return (conv2d_shape){.n = n,
                          .height = size,
                          .width = size + 1,
                          .in_channels = in,
                          .out_channels = out,
                          .kernel = kernel,
                          .stride = stride,
                          .padding = padding,
                          .in_layout = LAYOUT_NHWC,
                          .out_layout = LAYOUT_NHWC,
                          .type = precision_type(wanted),
                          .tf32 = wanted == PRECISION_TF32,
                          .activation = relu_where(out % 2 == 0),
                          .need_dx = true};
}
