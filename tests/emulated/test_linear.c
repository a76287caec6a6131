/* Linear layers of the cuda device on the emulated cuBLASLt against sums in double, at sizes that
 * divide nothing, with canonical arrays that are aligned to an element only. On an emulated sm_90
 * the product adds up the bias's gradient, on sm_80 our kernel does. */
#include "device/kinds/linear.h"
#include "product_fixture.h"
#include "tests/support/op_calls.h"

#include "../unit/check.h"

#include <stdlib.h>
#include <string.h>

#define MUST(call)                                                                                 \
    do {                                                                                           \
        ls_error error = {0};                                                                      \
        int status = (call);                                                                       \
        CHECK(status == LS_OK, "%d: %s", status, error.text);                                      \
    } while (0)

typedef struct layer {
    linear_shape shape;
    plan *plan;
    array x, dy, weights, bias, y, dx, dweights, dbias;
    void *packed, *workspace;
} layer;

static device *gpu;
static device_stream *stream;

static layer layer_new(const linear_shape *shape, size_t offset) {
    layer self = {.shape = *shape};
    size_t n = (size_t)shape->n, in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    MUST(op_prepare(gpu, &op_linear, shape, NULL, &self.plan, &error));
    self.x = array_new(gpu, stream, shape->type, n * in, 0);
    self.dx = array_new(gpu, stream, shape->type, n * in, 0);
    self.y = array_new(gpu, stream, shape->type, n * out, 0);
    self.dy = array_new(gpu, stream, shape->type, n * out, 0);
    self.weights = array_new(gpu, stream, DTYPE_F32, out * in, offset);
    self.dweights = array_new(gpu, stream, DTYPE_F32, out * in, offset);
    self.bias = array_new(gpu, stream, DTYPE_F32, out, offset);
    self.dbias = array_new(gpu, stream, DTYPE_F32, out, offset);
    MUST(gpu->is->allocate(gpu, self.plan->packed[0].bytes, "packed", &self.packed, &error));
    MUST(gpu->is->allocate(gpu, self.plan->workspace_bytes, "workspace", &self.workspace, &error));
    return self;
}

static void layer_free(layer *self) {
    array *arrays[] = {&self->x, &self->dy, &self->weights,  &self->bias,
                       &self->y, &self->dx, &self->dweights, &self->dbias};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        array_free(gpu, arrays[i]);
    gpu->is->release(gpu, self->packed), gpu->is->release(gpu, self->workspace);
    plan_release(self->plan);
}

static void layer_run(layer *self) {
    const float *weights = (float *)self->weights.device, *bias = (float *)self->bias.device;
    MUST(plan_pack(self->plan, stream, 0, weights, self->packed, &error));
    MUST(weighted_forward(self->plan, stream, self->x.device, weights, self->packed, bias,
                          self->y.device, self->workspace, &error));
    if (self->shape.need_dx)
        MUST(weighted_backward_inputs(self->plan, stream, self->dy.device, weights, self->packed,
                                      self->dx.device, self->workspace, &error));
    MUST(weighted_backward_parameters(self->plan, stream, self->x.device, self->dy.device,
                                      (float *)self->dweights.device, (float *)self->dbias.device,
                                      self->workspace, &error));
    array *results[] = {&self->y, &self->dx, &self->dweights, &self->dbias};
    for (int i = 0; i < 4; i++)
        array_read(gpu, stream, results[i]);
}

static int wrong_forward(const layer *self) {
    int n = self->shape.n, in = self->shape.in_features, out = self->shape.out_features, wrong = 0;
    for (int row = 0; row < n; row++)
        for (int o = 0; o < out; o++) {
            double sum = self->bias.values[o];
            for (int i = 0; i < in; i++)
                sum += (double)self->x.values[row * in + i] * self->weights.values[o * in + i];
            if (self->shape.activation && sum < 0)
                sum = 0;
            wrong += !rounded_once(self->shape.type, self->y.values[row * out + o], sum);
        }
    return wrong;
}

static int wrong_data(const layer *self) {
    int n = self->shape.n, in = self->shape.in_features, out = self->shape.out_features, wrong = 0;
    for (int row = 0; row < n; row++)
        for (int i = 0; i < in; i++) {
            double sum = 0;
            for (int o = 0; o < out; o++)
                sum += (double)self->dy.values[row * out + o] * self->weights.values[o * in + i];
            wrong += !rounded_once(self->shape.type, self->dx.values[row * in + i], sum);
        }
    return wrong;
}

static int wrong_weights(const layer *self) {
    int n = self->shape.n, in = self->shape.in_features, out = self->shape.out_features, wrong = 0;
    for (int o = 0; o < out; o++)
        for (int i = -1; i < in; i++) { /* -1: the bias, whose input is 1 */
            double sum = 0;
            for (int row = 0; row < n; row++)
                sum += (double)self->dy.values[row * out + o] *
                       (i < 0 ? 1.0 : self->x.values[row * in + i]);
            wrong += !rounded_once(
                DTYPE_F32, i < 0 ? self->dbias.values[o] : self->dweights.values[o * in + i], sum);
        }
    return wrong;
}

static void test_precision(precision wanted) {
    /* n, in, out; 300 are split by the emulated library and by our kernel of sums */
    static const int sizes[][3] = {{1, 1, 1}, {3, 10, 7}, {17, 33, 5}, {7, 300, 10}, {300, 9, 10}};
    for (size_t size = 0; size < sizeof sizes / sizeof sizes[0]; size++)
        for (int variant = 0; variant < 8; variant++) {
            linear_shape shape = {.n = sizes[size][0],
                                  .in_features = sizes[size][1],
                                  .out_features = sizes[size][2],
                                  .type = precision_type(wanted),
                                  .tf32 = wanted == PRECISION_TF32,
                                  .activation = relu_where(variant & 1),
                                  .need_dx = variant & 2};
            layer tested = layer_new(&shape, variant & 4 ? 1 : 0);
            layer_run(&tested);
            int forward = wrong_forward(&tested), weights = wrong_weights(&tested);
            int data = shape.need_dx ? wrong_data(&tested) : 0;
            CHECK(forward + data + weights == 0, "[%d, %d] -> %d, variant %d: %d, %d, %d wrong",
                  shape.n, shape.in_features, shape.out_features, variant, forward, data, weights);
            layer_free(&tested);
        }
    check_case(precision_name(wanted));
}

/* That the two GPUs, and LOCKSTEP_CUDA_AVOID, take the ways that the test takes them for. */
static void test_description(void) {
    const char *capability = getenv("LOCKSTEP_EMULATED_CAPABILITY");
    const char *avoided = getenv("LOCKSTEP_CUDA_AVOID");
    bool library = !avoided || !strstr(avoided, "cublaslt");
    bool fused = (!capability || atoi(capability) >= 90) && !avoided;
    bool bias_apart = library && avoided && strstr(avoided, "fused-bias");
    linear_shape shape = {.n = 4, .in_features = 8, .out_features = 8, .type = DTYPE_BF16};
    layer tested = layer_new(&shape, 0);
    const char *description = plan_describe(tested.plan);
    const char *text = description ? description : "no description";
    CHECK((strstr(text, " with bias") != NULL) == fused, "%s", text);
    CHECK((strstr(text, "bias by a kernel") != NULL) == bias_apart, "%s", text);
    CHECK((strstr(text, "sums by a kernel") != NULL) == (library && !fused), "%s", text);
    CHECK((strstr(text, "a kernel of ours") != NULL) == !library, "%s", text);
    layer_free(&tested);
    check_case("who adds up the bias's gradient");
}

int main(void) {
    device_request request = {.local_size = 1, .threads = 1, .plan_cache = ""};
    MUST(device_open("cuda", &request, &gpu, &error));
    if (!gpu)
        return 1;
    MUST(gpu->is->stream_create(gpu, &stream, &error));
    for (int each = 0; each < PRECISION_COUNT; each++)
        test_precision((precision)each);
    test_description();
    gpu->is->stream_destroy(gpu, stream);
    device_close(gpu);
    return check_done();
}
