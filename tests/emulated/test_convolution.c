/* Convolutions of the cuda device against `ref`, on the emulated cuDNN. What is shown is that cuDNN
 * is asked for the right thing, with the right memory, not cuDNN's own numbers or speed. */
#include "convolution_fixture.h"
#include "device/ref/ref.h"
#include "tests/support/op_calls.h"

#include "../unit/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t state = 12345;

static float draw(void) {
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

/* The same array in memory of the host (for ref) and of the device. */
typedef struct array {
    dtype type;
    size_t count;
    void *host, *there;
} array;

static array array_new(device *gpu, device_stream *stream, dtype type, size_t count) {
    array self = {.type = type, .count = count, .host = calloc(count, dtype_bytes(type))};
    for (size_t index = 0; index < count; index++)
        ref_store(type, self.host, index, (double)draw());
    MUST(gpu->is->allocate(gpu, count * dtype_bytes(type), "a test", &self.there, &error));
    MUST(gpu->is->copy(gpu, stream, self.there, self.host, count * dtype_bytes(type),
                       COPY_HOST_TO_DEVICE, &error));
    MUST(gpu->is->stream_synchronize(gpu, stream, &error));
    return self;
}

static void array_free(device *gpu, array *self) {
    gpu->is->release(gpu, self->there);
    free(self->host);
}

/* What the device has, against what ref has made of the host's. */
static void array_compare(device *gpu, device_stream *stream, const array *self, double tolerance,
                          const char *what) {
    void *found = malloc(self->count * dtype_bytes(self->type));
    double worst = 0, largest = 0;
    MUST(gpu->is->copy(gpu, stream, found, self->there, self->count * dtype_bytes(self->type),
                       COPY_DEVICE_TO_HOST, &error));
    MUST(gpu->is->stream_synchronize(gpu, stream, &error));
    for (size_t index = 0; index < self->count; index++) {
        double expected = ref_load(self->type, self->host, index);
        double difference = fabs(ref_load(self->type, found, index) - expected);
        worst = difference > worst || isnan(difference) ? difference : worst;
        largest = fabs(expected) > largest ? fabs(expected) : largest;
    }
    CHECK(worst <= tolerance * largest, "%s: differs by %g where the largest is %g", what, worst,
          largest);
    free(found);
}

typedef struct tensors {
    array x, y, w, bias, dw, db, workspace, packed;
    bool has_packed;
} tensors;

static tensors tensors_new(device *gpu, device_stream *stream, const conv2d_shape *shape,
                           const plan *plan) {
    size_t outputs = (size_t)shape->out_channels;
    size_t weights = outputs * (size_t)(shape->kernel * shape->kernel * shape->in_channels);
    size_t pixels =
        (size_t)shape->n *
        (size_t)((shape->height + 2 * shape->padding - shape->kernel) / shape->stride + 1) *
        (size_t)((shape->width + 2 * shape->padding - shape->kernel) / shape->stride + 1);
    size_t inputs = (size_t)(shape->n * shape->height * shape->width * shape->in_channels);
    size_t workspace = plan->workspace_bytes, packed = plan->packed[0].bytes;
    CHECK(packed == (shape->type == DTYPE_F32 ? 0 : 2 * weights), "%zu packed bytes", packed);
    tensors self = {.x = array_new(gpu, stream, shape->type, inputs),
                    .y = array_new(gpu, stream, shape->type, pixels * outputs),
                    .w = array_new(gpu, stream, DTYPE_F32, weights),
                    .bias = array_new(gpu, stream, DTYPE_F32, outputs),
                    .dw = array_new(gpu, stream, DTYPE_F32, weights),
                    .db = array_new(gpu, stream, DTYPE_F32, outputs),
                    .workspace = array_new(gpu, stream, DTYPE_F32, workspace / 4 + 1),
                    .packed = array_new(gpu, stream, DTYPE_F32, packed / 4 + 1),
                    .has_packed = packed > 0};
    return self;
}

static void tensors_free(device *gpu, tensors *self) {
    array *all[] = {&self->x,  &self->y,  &self->w,         &self->bias,
                    &self->dw, &self->db, &self->workspace, &self->packed};
    for (size_t index = 0; index < sizeof all / sizeof all[0]; index++)
        array_free(gpu, all[index]);
}

/* As in a flat array behind a tensor of an odd size: the same, by way of the workspace. */
static void run_unaligned(device *gpu, device_stream *stream, const conv2d_shape *shape, plan *plan,
                          tensors *t, double tolerance) {
    size_t bytes = t->w.count * 4, bias_bytes = t->bias.count * 4;
    void *flat;
    MUST(gpu->is->allocate(gpu, bytes + bias_bytes + 4, "a flat array", &flat, &error));
    char *w = (char *)flat + 4, *bias = w + bytes;
    array y = array_new(gpu, stream, shape->type, t->y.count);
    struct plan *truth;
    MUST(ref_prepare(&op_conv2d, shape, &truth, &error));
    MUST(gpu->is->copy(gpu, stream, w, t->w.there, bytes, COPY_ON_DEVICE, &error));
    MUST(gpu->is->copy(gpu, stream, bias, t->bias.there, bias_bytes, COPY_ON_DEVICE, &error));
    MUST(weighted_forward(plan, stream, t->x.there, (float *)w, t->packed.there, (float *)bias,
                          y.there, t->workspace.there, &error));
    MUST(weighted_forward(truth, NULL, t->x.host, t->w.host, NULL, t->bias.host, y.host, NULL,
                          &error));
    array_compare(gpu, stream, &y, 2 * tolerance, "y of parameters that are not aligned");
    MUST(weighted_backward_parameters(plan, stream, t->x.there, y.there, (float *)w, (float *)bias,
                                      t->workspace.there, &error));
    MUST(weighted_backward_parameters(truth, NULL, t->x.host, y.host, t->dw.host, t->db.host, NULL,
                                      &error));
    MUST(gpu->is->copy(gpu, stream, t->dw.there, w, bytes, COPY_ON_DEVICE, &error));
    array_compare(gpu, stream, &t->dw, 2 * tolerance, "dw that is not aligned");
    gpu->is->stream_synchronize(gpu, stream, NULL);
    gpu->is->release(gpu, flat);
    array_free(gpu, &y);
    plan_release(truth);
}

static void run_all(device *gpu, device_stream *stream, const conv2d_shape *shape, plan *plan,
                    tensors *t) {
    static const double tolerances[] = {1e-6, 1.0 / 128, 1.0 / 1024};
    double tolerance = shape->tf32 ? 2e-3 : tolerances[shape->type];
    struct plan *truth;
    MUST(ref_prepare(&op_conv2d, shape, &truth, &error));
    if (t->has_packed)
        MUST(plan_pack(plan, stream, 0, t->w.there, t->packed.there, &error));

    /* y holds noise now: the gradient of the backward pass, which forward then overwrites. */
    MUST(weighted_backward_parameters(plan, stream, t->x.there, t->y.there, t->dw.there,
                                      t->db.there, t->workspace.there, &error));
    MUST(weighted_backward_parameters(truth, NULL, t->x.host, t->y.host, t->dw.host, t->db.host,
                                      NULL, &error));
    array_compare(gpu, stream, &t->dw, tolerance, "dw");
    array_compare(gpu, stream, &t->db, tolerance, "db");
    array dy = t->y; /* forward into another, so that dy stays for dx */
    array y = array_new(gpu, stream, shape->type, t->y.count);
    array elsewhere = array_new(gpu, stream, shape->type, t->y.count);
    void *results[] = {elsewhere.there, y.there};
    for (int index = 0; index < 2; index++)
        MUST(weighted_forward(plan, stream, t->x.there, t->w.there, t->packed.there, t->bias.there,
                              results[index], t->workspace.there, &error));
    MUST(weighted_forward(truth, NULL, t->x.host, t->w.host, NULL, t->bias.host, y.host, NULL,
                          &error));
    array_compare(gpu, stream, &y, tolerance, "y");
    MUST(weighted_backward_inputs(plan, stream, dy.there, t->w.there, t->packed.there, t->x.there,
                                  t->workspace.there, &error));
    MUST(weighted_backward_inputs(truth, NULL, dy.host, t->w.host, NULL, t->x.host, NULL, &error));
    array_compare(gpu, stream, &t->x, tolerance, "dx");
    run_unaligned(gpu, stream, shape, plan, t, tolerance);
    array_free(gpu, &elsewhere);
    array_free(gpu, &y);
    plan_release(truth);
}

static void test_against_ref(device *gpu, device_stream *stream) {
    static const struct {
        int n, size, in, out, kernel, stride, padding;
    } cases[] = {{2, 9, 3, 6, 3, 1, 1},
                 {3, 5, 8, 5, 3, 2, 1},
                 {2, 8, 5, 4, 1, 2, 0},
                 {1, 12, 3, 8, 7, 2, 3},
                 {2, 16, 16, 24, 3, 1, 1} /* not by ref: the fast loops */};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++)
        for (int wanted = 0; wanted < PRECISION_COUNT; wanted++) {
            char name[64];
            conv2d_shape shape = fixture_shape(
                cases[index].n, cases[index].size, cases[index].in, cases[index].out,
                cases[index].kernel, cases[index].stride, cases[index].padding, (precision)wanted);
            plan *plan = fixture_plan(gpu, &shape);
            tensors t = tensors_new(gpu, stream, &shape, plan);
            run_all(gpu, stream, &shape, plan, &t);
            tensors_free(gpu, &t);
            plan_release(plan);
            snprintf(name, sizeof name, "convolution %zu in %s as ref's", index + 1,
                     precision_name((precision)wanted));
            check_case(name);
        }
}

static void test_graph(device *gpu, device_stream *stream) {
    conv2d_shape shape = fixture_shape(2, 7, 3, 6, 3, 1, 1, PRECISION_BF16);
    device_graph *graph = NULL;
    plan *plan = fixture_plan(gpu, &shape);
    tensors t = tensors_new(gpu, stream, &shape, plan);
    size_t bytes = t.y.count * 2;
    char *eager = malloc(bytes), *replayed = malloc(bytes);
    MUST(plan_pack(plan, stream, 0, t.w.there, t.packed.there, &error));
    for (int round = 0; round < 2; round++) {
        if (round)
            MUST(gpu->is->graph_begin(gpu, stream, &error));
        MUST(weighted_forward(plan, stream, t.x.there, t.w.there, t.packed.there, t.bias.there,
                              t.y.there, t.workspace.there, &error));
        MUST(weighted_backward_parameters(plan, stream, t.x.there, t.y.there, t.dw.there,
                                          t.db.there, t.workspace.there, &error));
        if (round) {
            MUST(gpu->is->graph_end(gpu, stream, &graph, &error));
            MUST(gpu->is->fill_zero(gpu, stream, t.y.there, bytes, &error));
            MUST(gpu->is->graph_launch(gpu, graph, stream, &error));
        }
        MUST(gpu->is->copy(gpu, stream, round ? replayed : eager, t.y.there, bytes,
                           COPY_DEVICE_TO_HOST, &error));
        MUST(gpu->is->stream_synchronize(gpu, stream, &error));
    }
    CHECK(memcmp(eager, replayed, bytes) == 0, "replayed bits differ");
    gpu->is->graph_destroy(gpu, graph);
    free(eager);
    free(replayed);
    tensors_free(gpu, &t);
    plan_release(plan);
    check_case("recorded into a graph, the same bits");
}

static void test_refused(device *gpu, device_stream *stream) {
    conv2d_shape shape = fixture_shape(1, 5, 3, 6, 3, 1, 1, PRECISION_FP32);
    plan *plan = fixture_plan(gpu, &shape), *none;
    tensors t = tensors_new(gpu, stream, &shape, plan);
    ls_error error = {0};
    bool ours = getenv("LOCKSTEP_CUDA_AVOID") != NULL;
    size_t skew = ours ? 0 : 4; /* our kernels want no alignment, and would read past the end */
    int status = weighted_forward(plan, stream, (char *)t.x.there + skew, t.w.there, NULL,
                                  t.bias.there, t.y.there, t.workspace.there, &error);
    CHECK(ours || (status == LS_FAILED &&
                   strstr(error.text, "its input is not a multiple of 16 bytes")),
          "%s", error.text);
    tensors_free(gpu, &t);
    plan_release(plan);
    memset(&error, 0, sizeof error);
    shape.kernel = 9;
    CHECK(op_prepare(gpu, &op_conv2d, &shape, NULL, &none, &error) == LS_FAILED &&
              strstr(error.text, "a kernel of 9"),
          "%s", error.text);
    check_case("what cannot be is refused");
}

int main(void) {
    device *gpu = fixture_gpu("");
    device_stream *stream = fixture_stream(gpu);
    test_against_ref(gpu, stream);
    test_graph(gpu, stream);
    test_refused(gpu, stream);
    gpu->is->stream_destroy(gpu, stream);
    gpu->is->close(gpu);
    return check_done();
}
