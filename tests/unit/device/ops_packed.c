/* The packed copies that the optimizer's pass refreshes: afterwards a layer computes, to the bit,
 * what it computes with weights that plan_pack has just packed. And a step that overflowed
 * touches neither parameters nor moments nor packed copies. */
#include "ops_fixture.h"

#include <stdlib.h>
#include <string.h>

typedef enum { ADAM, SGD, SGD_MOMENTUM, METHODS } method;
static const char *const method_names[] = {"adam", "sgd", "sgd with momentum"};

/* A convolution (kernel 3, 6 x 5 pixels) or a linear layer (kernel 0), 3 samples. */
typedef struct layer {
    int in, out, kernel;
} layer;

enum {
    BATCH = 3,
    HEIGHT = 6,
    WIDTH = 5,
    OFFSET = 5, /* of the weights in the flat arrays */
    MOST_PIECES = 7
};

static size_t weights_of(layer l) {
    return (size_t)l.in * (size_t)l.out * (size_t)(l.kernel ? l.kernel * l.kernel : 1);
}

static dims dims_of(layer l, int channels) {
    return l.kernel ? (dims){BATCH, HEIGHT, WIDTH, channels} : (dims){BATCH, 1, 1, channels};
}

static conv2d_shape conv2d_of(const subject *s, layer l) {
    return (conv2d_shape){.n = BATCH,
                          .height = HEIGHT,
                          .width = WIDTH,
                          .in_channels = l.in,
                          .out_channels = l.out,
                          .kernel = l.kernel,
                          .stride = 1,
                          .padding = 1,
                          .in_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, l.in),
                          .out_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, l.out),
                          .type = s->type,
                          .tf32 = s->precision == PRECISION_TF32,
                          .need_dx = true};
}

static plan *prepare(subject *s, layer l) {
    ls_error error = {0};
    plan *out;
    conv2d_shape conv2d = conv2d_of(s, l);
    linear_shape linear = {.n = BATCH,
                           .in_features = l.in,
                           .out_features = l.out,
                           .type = s->type,
                           .tf32 = s->precision == PRECISION_TF32,
                           .need_dx = true};
    must(l.kernel ? op_prepare(s->device, &op_conv2d, &conv2d, NULL, &out, &error)
                  : op_prepare(s->device, &op_linear, &linear, NULL, &out, &error),
         &error);
    return out;
}

typedef struct pass {
    float *y, *dx;
} pass;

static void pass_free(pass *self) {
    free(self->y), free(self->dx);
}

/* y and dx of the layer with these weights. */
static pass run_layer(subject *s, plan *plan, layer l, const float *weights, const void *packed) {
    ls_error error = {0};
    dims in = dims_of(l, l.in), out = dims_of(l, l.out);
    tensor_layout in_layout = l.kernel ? conv2d_of(s, l).in_layout : LAYOUT_NHWC;
    tensor_layout out_layout = l.kernel ? conv2d_of(s, l).out_layout : LAYOUT_NHWC;
    float *zeros = floats((size_t)l.out);
    float *host_x = random_values(s, dims_count(in), 8502, -1, 1);
    float *host_dy = random_values(s, dims_count(out), 8503, -1, 1);
    array bias = parameters_of(s, zeros, (size_t)l.out);
    array x = tensor_of(s, in_layout, in, host_x), dy = tensor_of(s, out_layout, out, host_dy);
    array y = tensor_new(s, out_layout, out), dx = tensor_new(s, in_layout, in);
    array workspace = array_new(s, plan->workspace_bytes);
    must(weighted_forward(plan, s->stream, x.memory, weights, packed, parameters_at(&bias),
                          y.memory, workspace.memory, &error),
         &error);
    must(weighted_backward_inputs(plan, s->stream, dy.memory, weights, packed, dx.memory,
                                  workspace.memory, &error),
         &error);
    pass result = {tensor_get(s, out_layout, out, &y), tensor_get(s, in_layout, in, &dx)};
    array *all[] = {&bias, &x, &dy, &y, &dx, &workspace};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        array_free(s, all[i]);
    free(zeros), free(host_x), free(host_dy);
    return result;
}

/* The flat arrays of a layer and its bias, and the packed copy of its weights. */
typedef struct flat {
    size_t count;
    array w, g, m, v, packed;
} flat;

static flat flat_of(subject *s, plan *plan, layer l) {
    ls_error error = {0};
    flat self = {.count = OFFSET + weights_of(l) + (size_t)l.out};
    float *values[4];
    for (int i = 0; i < 4; i++)
        values[i] = random_floats(self.count, 8500 + (uint64_t)i, i == 3 ? 0 : -1, 1);
    self.w = parameters_of(s, values[0], self.count);
    self.g = parameters_of(s, values[1], self.count);
    self.m = parameters_of(s, values[2], self.count);
    self.v = parameters_of(s, values[3], self.count);
    self.packed = array_new(s, plan->packed[0].bytes);
    must(plan_pack(plan, s->stream, 0, parameters_at(&self.w) + OFFSET, self.packed.memory, &error),
         &error);
    for (int i = 0; i < 4; i++)
        free(values[i]);
    return self;
}

static void flat_free(subject *s, flat *self) {
    array *all[] = {&self->w, &self->g, &self->m, &self->v, &self->packed};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        array_free(s, all[i]);
}

/* `pieces` of the weights, from the last to the first, as an update beside backward comes. */
static void update(subject *s, method method, plan *plan, layer l, const flat *arrays,
                   step_state now, int pieces) {
    ls_error error = {0};
    array state = array_of(s, &now, sizeof now);
    const adam_constants adam = {.beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f};
    const sgd_constants sgd = {.momentum = method == SGD_MOMENTUM ? 0.9f : 0};
    const float rate = 0.1f;
    array rates = array_of(s, &rate, sizeof rate);
    update_arguments arguments = {.parameters = parameters_at(&arrays->w),
                                  .gradients = parameters_at(&arrays->g),
                                  .moments = {method != SGD ? parameters_at(&arrays->m) : NULL,
                                              method == ADAM ? parameters_at(&arrays->v) : NULL},
                                  .rates = rates.memory,
                                  .rate_count = 1,
                                  .state = state.memory};
    parameter_range ranges[1 + MOST_PIECES] = {
        {.first = OFFSET + weights_of(l), .count = (size_t)l.out, .rate_scale = 1}};
    size_t element = plan_packed_element(plan, 0);
    for (int piece = 0; piece < pieces; piece++) {
        size_t first = weights_of(l) * (size_t)piece / (size_t)pieces;
        size_t end = weights_of(l) * (size_t)(piece + 1) / (size_t)pieces;
        ranges[pieces - piece] =
            (parameter_range){.first = OFFSET + first,
                              .count = end - first,
                              .rate_scale = 1,
                              .packing = plan,
                              .packed = (char *)arrays->packed.memory + first * element};
    }
    int count = 1 + pieces;
    must(method == ADAM
             ? s->ops->adam(s->device, s->stream, &adam, &arguments, ranges, count, &error)
             : s->ops->sgd(s->device, s->stream, &sgd, &arguments, ranges, count, &error),
         &error);
    array_free(s, &rates);
    array_free(s, &state);
}

static void one_refreshed(subject *s, method method, layer l) {
    ls_error error = {0};
    plan *plan = prepare(s, l);
    flat arrays = flat_of(s, plan, l);
    float *start = parameters_get(s, &arrays.w, arrays.count);
    update(s, method, plan, l, &arrays, (step_state){.step = 1, .loss_scale = 1}, 1);
    float *now = parameters_get(s, &arrays.w, arrays.count);
    expect(memcmp(now + OFFSET, start + OFFSET, weights_of(l) * sizeof *now) != 0,
           "nothing was updated");
    const float *weights = parameters_at(&arrays.w) + OFFSET;
    pass got = run_layer(s, plan, l, weights, arrays.packed.memory);
    array fresh = array_new(s, plan->packed[0].bytes);
    must(plan_pack(plan, s->stream, 0, weights, fresh.memory, &error), &error);
    pass want = run_layer(s, plan, l, weights, fresh.memory);
    expect_equal("y with the new weights", got.y, want.y, dims_count(dims_of(l, l.out)));
    expect_equal("dx with the new weights", got.dx, want.dx, dims_count(dims_of(l, l.in)));
    plan_release(plan);
    flat_free(s, &arrays), array_free(s, &fresh);
    pass_free(&got), pass_free(&want), free(start), free(now);
    case_done(s, "%s refreshes packed weights of %s %d->%d", method_names[method],
              l.kernel ? "conv2d" : "linear", l.in, l.out);
}

static void *bytes_of(subject *s, const array *from) {
    void *out = malloc(from->bytes + 1);
    if (!out)
        abort();
    array_get(s, from, out);
    return out;
}

/* A step whose gradients overflowed: all as before, to the bit. */
static void one_skipped(subject *s, method method, layer l) {
    plan *plan = prepare(s, l);
    flat arrays = flat_of(s, plan, l);
    const array *kept[] = {&arrays.w, &arrays.m, &arrays.v, &arrays.packed};
    void *before[4];
    for (int i = 0; i < 4; i++)
        before[i] = bytes_of(s, kept[i]);
    update(s, method, plan, l, &arrays, (step_state){.step = 3, .loss_scale = 1024, .overflow = 1},
           1);
    for (int i = 0; i < 4; i++) {
        static const char *const names[] = {"parameters", "first moments", "second moments",
                                            "packed weights"};
        void *after = bytes_of(s, kept[i]);
        expect(memcmp(before[i], after, kept[i]->bytes) == 0, "the %s have changed", names[i]);
        free(before[i]), free(after);
    }
    plan_release(plan);
    flat_free(s, &arrays);
    case_done(s, "%s leaves all as it is after an overflow, %s %d->%d", method_names[method],
              l.kernel ? "conv2d" : "linear", l.in, l.out);
}

/* In pieces, at borders that no vector likes: the bits of the whole. */
static void one_in_pieces(subject *s, method method, layer l) {
    plan *plan = prepare(s, l);
    flat whole = flat_of(s, plan, l), pieces = flat_of(s, plan, l);
    const array *a[] = {&whole.w, &whole.m, &whole.v, &whole.packed};
    const array *b[] = {&pieces.w, &pieces.m, &pieces.v, &pieces.packed};
    step_state now = {.step = 1, .loss_scale = 1};
    bool divides = plan->packed[0].bytes == 0 || plan_packed_element(plan, 0) > 0;
    update(s, method, plan, l, &whole, now, 1);
    update(s, method, plan, l, &pieces, now, divides ? MOST_PIECES : 1);
    for (int i = 0; i < 4; i++) {
        void *want = bytes_of(s, a[i]), *got = bytes_of(s, b[i]);
        expect(memcmp(want, got, a[i]->bytes) == 0, "array %d differs", i);
        free(want), free(got);
    }
    plan_release(plan);
    flat_free(s, &whole), flat_free(s, &pieces);
    case_done(s, "%s in %s, %s %d->%d", method_names[method],
              divides ? "pieces" : "one (its copy is not in order)", l.kernel ? "conv2d" : "linear",
              l.in, l.out);
}

void test_packed_copies(subject *s) {
    static const layer layers[] = {{16, 32, 3},   {64, 70, 3},    {70, 5, 3},
                                   {3, 64, 3},    {513, 10, 0},   {160, 128, 0},
                                   {2048, 64, 0}, {4096, 192, 0}, {96, 33, 0}};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        one_refreshed(s, (method)(i % METHODS), layers[i]);
    for (int m = 0; m < METHODS; m++) {
        one_refreshed(s, (method)m, (layer){256, 128, 0});
        one_skipped(s, (method)m, (layer){16, 32, 3});
        one_skipped(s, (method)m, (layer){160, 128, 0});
        one_in_pieces(s, (method)m, (layer){513, 11, 0});
        one_in_pieces(s, (method)m, (layer){16, 32, 3});
    }
}
