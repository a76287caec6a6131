/* What serves any graph of cuDNN's (cuda/dnn/dnn_*.c), by a client that is this file: each pixel's
 * channels are mixed by a matrix, as the gradient of a 1 x 1 convolution does it. */
#include "convolution_fixture.h"
#include "cuda/dnn/dnn_way.h"
#include "refusals.h"

#include "../unit/check.h"

#include <stdlib.h>
#include <string.h>

enum { PIXELS = 6, FROM_CHANNELS = 8, TO_CHANNELS = 4 };
enum { MIX_BY, MIX_FROM = 3, MIX_TO = 7 }; /* slots */

static int kernel_calls;

static cudaError_t mix_kernel(const dnn_problem *self, cudaStream_t stream,
                              const dnn_pointers *pointers) {
    (void)self, (void)stream, (void)pointers;
    kernel_calls++;
    return cudaSuccess;
}

static int add(dnn_graph *graph, const char *name, dnn_tensor_kind kind, int slot, int64_t n,
               int64_t channels, int64_t width, cudnnBackendDescriptor_t *out, ls_error *error) {
    dnn_tensor tensor = {.name = name,
                         .kind = kind,
                         .slot = slot,
                         .type = DTYPE_F32,
                         .stored = DTYPE_F32,
                         .staged = slot == MIX_BY};
    dnn_tensor_lies_channels_last(&tensor, n, channels, 1, width);
    return dnn_graph_add_tensor(graph, &tensor, out, error);
}

static int build_mix(const dnn_problem *self, dtype form, dnn_graph *graph, ls_error *error) {
    (void)self, (void)form;
    cudnnBackendDescriptor_t from, by, to, kind;
    int64_t ones[2] = {1, 1}, zeros[2] = {0, 0};
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    LS_TRY(add(graph, "result", DNN_OUTPUT, MIX_TO, 1, TO_CHANNELS, PIXELS, &to, error));
    LS_TRY(add(graph, "matrix", DNN_INPUT, MIX_BY, FROM_CHANNELS, TO_CHANNELS, 1, &by, error));
    LS_TRY(add(graph, "pixels", DNN_INPUT, MIX_FROM, 1, FROM_CHANNELS, PIXELS, &from, error));
    descriptor_builder how = descriptor_begin(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, "a mix");
    descriptor_set_int64(&how, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2);
    descriptor_set_type(&how, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    descriptor_set(&how, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    descriptor_set(&how, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, ones);
    descriptor_set(&how, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, ones);
    descriptor_set(&how, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, zeros);
    descriptor_set(&how, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, zeros);
    LS_TRY(dnn_graph_own(graph, &how, &kind, error));
    descriptor_builder mix =
        descriptor_begin(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, "a mix");
    descriptor_set_descriptor(&mix, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, kind);
    descriptor_set_descriptor(&mix, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, to);
    descriptor_set_descriptor(&mix, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, by);
    descriptor_set_descriptor(&mix, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, from);
    descriptor_set_float(&mix, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 1);
    descriptor_set_float(&mix, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, 0);
    return dnn_graph_add_operation(graph, &mix, error);
}

static const dnn_problem mix = {.what = "mix of channels",
                                .name = "mix",
                                .key = "mix p6 c8 k4 fp32",
                                .sums = {.type = DTYPE_F32},
                                .forms = {DTYPE_F32},
                                .form_count = 1,
                                .build = build_mix};

/* What a call reads and writes, on the GPU. `by` may lie at any element. */
typedef struct memory {
    void *from, *by, *to, *workspace;
} memory;

static void *filled(device *gpu, device_stream *stream, int count, int step, int offset) {
    float host[64] = {0};
    void *there = NULL;
    for (int index = 0; index < count; index++)
        host[index + offset] = (float)(index * step % 7 - 3);
    MUST(gpu->is->allocate(gpu, sizeof host, "a test", &there, &error));
    MUST(gpu->is->copy(gpu, stream, there, host, sizeof host, COPY_HOST_TO_DEVICE, &error));
    MUST(gpu->is->stream_synchronize(gpu, stream, &error));
    return there;
}

static memory memory_of(device *gpu, device_stream *stream, const dnn_way *way, int offset) {
    memory self = {.from = filled(gpu, stream, PIXELS * FROM_CHANNELS, 3, 0),
                   .by = filled(gpu, stream, FROM_CHANNELS * TO_CHANNELS, 5, offset),
                   .to = filled(gpu, stream, 0, 0, 0)};
    MUST(gpu->is->allocate(gpu, way->run.workspace_bytes + 1, "a test", &self.workspace, &error));
    return self;
}

static void memory_free(device *gpu, const memory *self) {
    gpu->is->release(gpu, self->from);
    gpu->is->release(gpu, self->by);
    gpu->is->release(gpu, self->to);
    gpu->is->release(gpu, self->workspace);
}

static dnn_pointers pointers_to(const memory *at, int offset) {
    return (dnn_pointers){
        .at = {[MIX_FROM] = at->from, [MIX_BY] = (float *)at->by + offset, [MIX_TO] = at->to},
        .workspace = at->workspace};
}

/* Small whole numbers: exact in any order. */
static void check_result(device *gpu, device_stream *stream, const memory *at, const char *what) {
    float found[PIXELS * TO_CHANNELS];
    MUST(gpu->is->copy(gpu, stream, found, at->to, sizeof found, COPY_DEVICE_TO_HOST, &error));
    MUST(gpu->is->stream_synchronize(gpu, stream, &error));
    for (int pixel = 0; pixel < PIXELS; pixel++)
        for (int to = 0; to < TO_CHANNELS; to++) {
            float expected = 0;
            for (int from = 0; from < FROM_CHANNELS; from++)
                expected += (float)((pixel * FROM_CHANNELS + from) * 3 % 7 - 3) *
                            (float)((from * TO_CHANNELS + to) * 5 % 7 - 3);
            CHECK(found[pixel * TO_CHANNELS + to] == expected,
                  "%s: pixel %d channel %d: %g, not %g", what, pixel, to,
                  (double)found[pixel * TO_CHANNELS + to], (double)expected);
        }
}

static bool is_described(const dnn_way *way, const char *expected) {
    text_buffer text = {0};
    dnn_way_describe(way, &text);
    bool found = text.bytes && strstr(text.bytes, expected) != NULL;
    if (!found)
        printf("# described as: %s\n", text.bytes ? text.bytes : "");
    text_free(&text);
    return found;
}

static void test_another_client(void) {
    device *gpu = fixture_gpu("");
    device_stream *stream = fixture_stream(gpu);
    dnn_way way = {0}, again = {0};
    char *table = NULL;
    MUST(dnn_way_prepare((cuda_device *)gpu, &mix, &way, &error));
    CHECK(is_described(&way, "cuDNN mix ") && is_described(&way, "(best of "), "not timed");
    MUST(gpu->is->choices_export(gpu, &table, &error));
    CHECK(strstr(table, "\tmix p6 c8 k4 fp32\tfp32 ") != NULL, "%s", table);
    free(table);
    for (int offset = 0; offset < 2; offset++) {
        memory at = memory_of(gpu, stream, &way, offset);
        dnn_pointers pointers = pointers_to(&at, offset);
        MUST(dnn_way_run(&way, (cuda_device *)gpu, cuda_stream(stream), &pointers, &error));
        check_result(gpu, stream, &at, offset ? "by way of the workspace" : "aligned");
        memory_free(gpu, &at);
    }
    ((cuda_device *)gpu)->choosing.seconds_left = 0; /* now only the table knows which was best */
    MUST(dnn_way_prepare((cuda_device *)gpu, &mix, &again, &error));
    CHECK(is_described(&again, "(best of "), "chosen twice");
    dnn_way_release(&again);
    check_case("a graph of another client is chosen for, kept by its key, and run");

    memory at = memory_of(gpu, stream, &way, 0);
    dnn_pointers pointers = pointers_to(&at, 0);
    pointers.at[MIX_FROM] = (float *)at.from + 1;
    ls_error error = {0};
    CHECK(dnn_way_run(&way, (cuda_device *)gpu, cuda_stream(stream), &pointers, &error) ==
                  LS_FAILED &&
              strstr(error.text, "mix p6 c8 k4 fp32: the address") && strstr(error.text, "pixels"),
          "%s", error.text);
    memory_free(gpu, &at);
    dnn_way_release(&way);
    gpu->is->stream_destroy(gpu, stream);
    gpu->is->close(gpu);
    check_case("an address that is not aligned is named by its tensor");
}

/* `refuse`: all of cuDNN's runs, from now on. */
static int prepare(device *gpu, const dnn_problem *problem, bool refuse, dnn_way *way,
                   ls_error *error) {
    memset(error, 0, sizeof *error);
    emulated_refuse(DNN_RUN, refuse ? 1 : 0, 1 << 30, -1);
    int status = dnn_way_prepare((cuda_device *)gpu, problem, way, error);
    emulated_refuse(DNN_RUN, 0, 0, -1);
    return status;
}

static void test_without_cudnn(void) {
    device *gpu = fixture_gpu("");
    dnn_way way = {0}, other = {0};
    dnn_problem with_kernel = mix;
    dnn_pointers nothing = {0};
    ls_error error;
    with_kernel.kernel = mix_kernel;
    CHECK(prepare(gpu, &mix, true, &way, &error) == LS_FAILED &&
              strstr(error.text, "mix of channels mix p6 c8 k4 fp32: engine ") &&
              strstr(error.text, "there is no other way to do it"),
          "%s", error.text);
    CHECK(gpu->fallbacks.count == 0, "%s", gpu->fallbacks.lines[0]);
    dnn_way_release(&way);
    check_case("what cuDNN refuses and has no kernel is an error that says why");

    CHECK(prepare(gpu, &with_kernel, true, &other, &error) == LS_OK, "%s", error.text);
    CHECK(is_described(&other, "our mix kernel (no engine)"), "another way");
    CHECK(gpu->fallbacks.count == 1 &&
              strstr(gpu->fallbacks.lines[0], "mix of channels mix p6 c8 k4 fp32: engine ") &&
              strstr(gpu->fallbacks.lines[0], "; taken: a kernel of ours"),
          "%d fallbacks", gpu->fallbacks.count);
    MUST(dnn_way_run(&other, (cuda_device *)gpu, NULL, &nothing, &error));
    CHECK(kernel_calls == 1, "%d calls", kernel_calls);
    dnn_way_release(&other);
    check_case("the client's kernel computes where cuDNN refuses, which is said");

    unsigned avoided = ((cuda_device *)gpu)->avoided;
    ((cuda_device *)gpu)->avoided = CUDA_AVOID_CUDNN;
    CHECK(prepare(gpu, &mix, false, &way, &error) == LS_FAILED &&
              strstr(error.text, "LOCKSTEP_CUDA_AVOID") != NULL,
          "%s", error.text);
    ((cuda_device *)gpu)->avoided = avoided;
    check_case("cuDNN cannot be avoided where there is no kernel");
    gpu->is->close(gpu);
}

static void test_refused_in_a_step(void) {
    device *gpu = fixture_gpu("");
    device_stream *stream = fixture_stream(gpu);
    dnn_problem with_kernel = mix;
    dnn_way way = {0}, bare = {0};
    ls_error error;
    with_kernel.kernel = mix_kernel;
    kernel_calls = 0;
    CHECK(prepare(gpu, &with_kernel, false, &way, &error) == LS_OK, "%s", error.text);
    CHECK(prepare(gpu, &mix, false, &bare, &error) == LS_OK, "%s", error.text);
    memory at = memory_of(gpu, stream, &way, 0);
    dnn_pointers pointers = pointers_to(&at, 0);
    emulated_refuse(DNN_RUN, 1, 1 << 30, -1);
    CHECK(dnn_way_run(&bare, (cuda_device *)gpu, cuda_stream(stream), &pointers, &error) ==
              LS_FAILED,
          "nothing was computed, and no error");
    MUST(dnn_way_run(&way, (cuda_device *)gpu, cuda_stream(stream), &pointers, &error));
    emulated_refuse(DNN_RUN, 0, 0, -1);
    MUST(dnn_way_run(&way, (cuda_device *)gpu, cuda_stream(stream), &pointers, &error));
    CHECK(kernel_calls == 2 && is_described(&way, "our mix kernel (refused in a step)"), "%d calls",
          kernel_calls);
    CHECK(gpu->fallbacks.count == 1 && strstr(gpu->fallbacks.lines[0], " in a step: "), "%s",
          gpu->fallbacks.lines[0]);
    memory_free(gpu, &at);
    dnn_way_release(&way);
    dnn_way_release(&bare);
    gpu->is->stream_destroy(gpu, stream);
    gpu->is->close(gpu);
    check_case("what is refused in a step gives way for good");
}

int main(void) {
    test_another_client();
    test_without_cudnn();
    test_refused_in_a_step();
    return check_done();
}
