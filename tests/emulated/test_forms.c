/* The forms in which the cuda device takes and leaves what is fp32 and canonical elsewhere: an
 * input of 3 channels that lies as one of 8, packed weights like it, a packed bias, a gradient that
 * is left in the activations' type. In each a convolution has the bits that it has without. */
#include "convolution_fixture.h"

#include "base/float16.h"

#include "../unit/check.h"

#include <stdlib.h>
#include <string.h>

enum { N = 2, SIZE = 5, CHANNELS = 3, LYING = 8, OUT = 6 };
enum {
    PIXELS = N * SIZE * (SIZE + 1),
    TAPS = OUT * 9,
    WEIGHTS = TAPS * CHANNELS,
    OUTPUTS = PIXELS * OUT
};

static device *gpu;
static device_stream *stream;

static void *memory(size_t bytes) {
    void *made = NULL;
    MUST(gpu->is->allocate(gpu, bytes, "a test", &made, &error));
    return made;
}

static void *put(const void *from, size_t bytes) {
    void *made = memory(bytes);
    MUST(gpu->is->copy(gpu, stream, made, from, bytes, COPY_HOST_TO_DEVICE, &error));
    MUST(gpu->is->stream_synchronize(gpu, stream, &error));
    return made;
}

static void get(void *to, const void *from, size_t bytes) {
    MUST(gpu->is->copy(gpu, stream, to, from, bytes, COPY_DEVICE_TO_HOST, &error));
    MUST(gpu->is->stream_synchronize(gpu, stream, &error));
}

static float draw(void) {
    static uint32_t state = 77;
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

static uint16_t narrow(dtype type, float value) {
    return type == DTYPE_BF16 ? bf16_of_float(value) : fp16_of_float(value);
}

static float widen(dtype type, uint16_t bits) {
    return type == DTYPE_BF16 ? bf16_to_float(bits) : fp16_to_float(bits);
}

/* What a convolution reads, on the device. */
typedef struct operands {
    void *x, *padded_x, *dy;
    float *weights, *bias;
} operands;

static operands operands_new(dtype type) {
    uint16_t x[PIXELS * CHANNELS], padded[PIXELS * LYING] = {0}, dy[OUTPUTS];
    float weights[WEIGHTS], bias[OUT];
    for (int i = 0; i < PIXELS * CHANNELS; i++) {
        x[i] = narrow(type, draw());
        padded[i / CHANNELS * LYING + i % CHANNELS] = x[i];
    }
    for (int i = 0; i < OUTPUTS; i++)
        dy[i] = narrow(type, draw());
    for (int i = 0; i < WEIGHTS; i++)
        weights[i] = draw();
    for (int i = 0; i < OUT; i++)
        bias[i] = draw();
    return (operands){put(x, sizeof x), put(padded, sizeof padded), put(dy, sizeof dy),
                      put(weights, sizeof weights), put(bias, sizeof bias)};
}

static void operands_free(operands *self) {
    void *all[] = {self->x, self->padded_x, self->dy, self->weights, self->bias};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        gpu->is->release(gpu, all[i]);
}

typedef struct results {
    uint16_t y[OUTPUTS];
    float dw[WEIGHTS], db[OUT];
} results;

/* A gradient as it was left, in the canonical order. */
static void take_left(const op_left *as, const void *there, results *out) {
    uint16_t bits[TAPS * LYING];
    CHECK(as->bytes <= sizeof bits, "%zu bytes are left", as->bytes);
    get(bits, there, as->bytes);
    for (int i = 0; i < WEIGHTS; i++) {
        int length = as->runs.length;
        int at = length ? i / length * as->runs.stride + i % length : i;
        out->dw[i] = widen(as->type, bits[at]);
    }
}

static void run(dtype type, const operands *in, bool padded, bool leaves, results *out) {
    conv2d_shape shape = fixture_shape(N, SIZE, CHANNELS, OUT, 3, 1, 1, PRECISION_BF16);
    shape.type = type;
    shape.need_dx = false;
    shape.in_layout = padded ? LAYOUT_NHWC_PADDED : LAYOUT_NHWC;
    plan *plan = fixture_plan(gpu, &shape);
    void *packed = memory(plan->packed[0].bytes), *low_bias = memory(plan->packed[1].bytes);
    void *left = memory(plan->left[0].bytes), *workspace = memory(plan->workspace_bytes);
    float *dw = memory(sizeof out->dw), *db = memory(sizeof out->db);
    void *y = memory(sizeof out->y);
    MUST(plan_pack(plan, stream, 0, in->weights, packed, &error));
    MUST(plan_pack(plan, stream, 1, in->bias, low_bias, &error));
    op_arguments arguments = {.stream = stream,
                              .x = {padded ? in->padded_x : in->x},
                              .y = y,
                              .dy = in->dy,
                              .parameters = {in->weights, in->bias},
                              .packed = {packed, leaves ? low_bias : NULL},
                              .gradients = {dw, db},
                              .left = {leaves ? left : NULL},
                              .workspace = workspace,
                              .training = true};
    MUST(plan->is->forward(plan, &arguments, &error));
    MUST(plan->is->backward_parameters(plan, &arguments, &error));
    get(out->y, y, sizeof out->y);
    get(out->dw, dw, sizeof out->dw);
    get(out->db, db, sizeof out->db);
    if (leaves)
        take_left(&plan->left[0], left, out);
    void *all[] = {packed, low_bias, left, workspace, dw, db, y};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        gpu->is->release(gpu, all[i]);
    plan_release(plan);
}

static void test_type(dtype type) {
    static results want, got;
    operands in = operands_new(type);
    run(type, &in, false, false, &want);
    for (int variant = 1; variant < 4; variant++) {
        bool padded = variant & 1, leaves = variant & 2;
        memset(&got, 0, sizeof got);
        run(type, &in, padded, leaves, &got);
        CHECK(memcmp(want.y, got.y, sizeof want.y) == 0, "variant %d: another y", variant);
        CHECK(memcmp(want.dw, got.dw, sizeof want.dw) == 0, "variant %d: another dw", variant);
        CHECK(memcmp(want.db, got.db, sizeof want.db) == 0, "variant %d: another db", variant);
    }
    operands_free(&in);
    check_case(dtype_name(type));
}

int main(void) {
    gpu = fixture_gpu("");
    stream = fixture_stream(gpu);
    test_type(DTYPE_BF16);
    test_type(DTYPE_F16);
    gpu->is->stream_destroy(gpu, stream);
    gpu->is->close(gpu);
    return check_done();
}
