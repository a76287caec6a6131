/* Adam and SGD over several ranges against a double implementation written from PyTorch's
 * documentation, and the packed copies that the optimizer's pass refreshes. */
#include "ops_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENTS = 20011 };

/* Odd offsets and lengths, a whole number of 4096, a single element; gaps between them, which
 * nothing may touch. Rates and decays of their own. */
static const parameter_range ranges[] = {
    {.first = 1, .count = 4099, .learning_rate = 1e-3f},
    {.first = 4101, .count = 8192, .learning_rate = 1e-2f, .weight_decay = 0.1f},
    {.first = 12300, .count = 1, .learning_rate = 0.5f},
    {.first = 12303, .count = 7700, .learning_rate = 3e-4f, .weight_decay = 1e-4f}};
enum { RANGES = sizeof ranges / sizeof *ranges };

static bool is_in_a_range(size_t i) {
    for (int r = 0; r < RANGES; r++)
        if (i >= ranges[r].first && i < ranges[r].first + ranges[r].count)
            return true;
    return false;
}

/* torch.optim.Adam's documented update, one element. */
static void adam_element(const parameter_range *range, double g, int step, double *w, double *m,
                         double *v) {
    double beta1 = (double)0.9f, beta2 = (double)0.999f, epsilon = (double)1e-8f;
    g += (double)range->weight_decay * *w;
    *m = beta1 * *m + (1 - beta1) * g;
    *v = beta2 * *v + (1 - beta2) * g * g;
    double m_hat = *m / (1 - pow(beta1, step)), v_hat = *v / (1 - pow(beta2, step));
    *w -= (double)range->learning_rate * m_hat / (sqrt(v_hat) + epsilon);
}

/* torch.optim.SGD's. */
static void sgd_element(const parameter_range *range, double g, int step, double momentum,
                        double *w, double *velocity) {
    g += (double)range->weight_decay * *w;
    *velocity = step == 1 ? g : momentum * *velocity + g;
    *w -= (double)range->learning_rate * *velocity;
}

typedef enum { ADAM, SGD, SGD_MOMENTUM } method;
static const char *const method_names[] = {"adam", "sgd", "sgd with momentum"};

typedef struct doubles {
    double *w, *m, *v;
} doubles;

static void step_in_double(method method, const float *gradients, int step, doubles *state) {
    for (int r = 0; r < RANGES; r++)
        for (size_t i = ranges[r].first; i < ranges[r].first + ranges[r].count; i++) {
            if (method == ADAM)
                adam_element(&ranges[r], (double)gradients[i], step, &state->w[i], &state->m[i],
                             &state->v[i]);
            else
                sgd_element(&ranges[r], (double)gradients[i], step,
                            method == SGD ? 0 : (double)0.9f, &state->w[i], &state->m[i]);
        }
}

static void step_on_device(subject *s, method method, const array *w, const array *g,
                           const array *m, const array *v, int step,
                           const parameter_range *the_ranges, int count) {
    ls_error error = {0};
    step_state now = {.step = step - 1, .loss_scale = 1};
    array state = array_of(s, &now, sizeof now);
    adam_arguments adam = {.parameters = parameters_at(w),
                           .gradients = parameters_at(g),
                           .first_moment = parameters_at(m),
                           .second_moment = parameters_at(v),
                           .beta1 = 0.9f,
                           .beta2 = 0.999f,
                           .epsilon = 1e-8f,
                           .state = state.memory};
    sgd_arguments sgd = {.parameters = parameters_at(w),
                         .gradients = parameters_at(g),
                         .velocity = method == SGD_MOMENTUM ? parameters_at(m) : NULL,
                         .momentum = method == SGD_MOMENTUM ? 0.9f : 0,
                         .state = state.memory};
    must(method == ADAM ? s->ops->adam(s->device, s->stream, &adam, the_ranges, count, &error)
                        : s->ops->sgd(s->device, s->stream, &sgd, the_ranges, count, &error),
         &error);
    array_free(s, &state);
}

static float *rounded(const double *from) {
    float *out = floats(ELEMENTS);
    for (size_t i = 0; i < ELEMENTS; i++)
        out[i] = (float)from[i];
    return out;
}

/* A step rounds the weight (below 2: 2^-24 each for the difference and the store), and its change
 * (at most a few learning rates, of at most 0.5) by some 2^-24 of the change for each of about
 * eight operations and for the moments' own roundings, which fade with the betas. */
static double weight_tolerance(int steps) {
    return steps * (0x1p-23 + 0.5 * 16 * 0x1p-24);
}

static void compare(subject *s, const array *device_w, const doubles *state, const float *start,
                    int steps) {
    float *got = parameters_get(s, device_w, ELEMENTS), *want = rounded(state->w);
    expect_close("parameters", got, want, ELEMENTS, weight_tolerance(steps));
    for (size_t i = 0; i < ELEMENTS; i++)
        if (!is_in_a_range(i))
            expect(memcmp(&got[i], &start[i], sizeof *got) == 0,
                   "element %zu lies in no range and was %.9g, now %.9g", i, (double)start[i],
                   (double)got[i]);
    free(got), free(want);
}

static void one_method(subject *s, method method, int steps) {
    float *start = random_floats(ELEMENTS, 8000, -1, 1), *zeros = floats(ELEMENTS);
    array w = parameters_of(s, start, ELEMENTS);
    array m = parameters_of(s, zeros, ELEMENTS), v = parameters_of(s, zeros, ELEMENTS);
    if (method == SGD_MOMENTUM) { /* the first velocity is the gradient, whatever was there */
        array_free(s, &m);
        m = parameters_of(s, start, ELEMENTS);
    }
    doubles state = {calloc(ELEMENTS, 8), calloc(ELEMENTS, 8), calloc(ELEMENTS, 8)};
    for (size_t i = 0; i < ELEMENTS; i++)
        state.w[i] = (double)start[i];
    for (int step = 1; step <= steps; step++) {
        float *gradients = random_floats(ELEMENTS, 8000 + (uint64_t)step, -1, 1);
        for (size_t i = 0; i < ELEMENTS; i += 7)
            gradients[i] *= 1e-6f; /* where epsilon begins to matter */
        for (size_t i = 3; i < ELEMENTS; i += 11)
            gradients[i] = 0;
        array g = parameters_of(s, gradients, ELEMENTS);
        step_on_device(s, method, &w, &g, &m, &v, step, ranges, RANGES);
        step_in_double(method, gradients, step, &state);
        float *kept = parameters_get(s, &g, ELEMENTS);
        expect_equal("gradients after the step", kept, gradients, ELEMENTS);
        array_free(s, &g);
        free(gradients), free(kept);
    }
    compare(s, &w, &state, start, steps);
    array_free(s, &w), array_free(s, &m), array_free(s, &v);
    free(start), free(zeros), free(state.w), free(state.m), free(state.v);
    case_done("%s %s, %d step(s) over %d ranges, %d thread(s)", s->name, method_names[method],
              steps, RANGES, s->threads);
}

void test_optimizer(subject *s) {
    static const int steps[] = {1, 2, 25};
    for (int m = ADAM; m <= SGD_MOMENTUM; m++)
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            one_method(s, (method)m, steps[i]);
}

/* --- packed copies: after the optimizer's pass, forward must use the new weights */

static const conv2d_shape layer = {.n = 3,
                                   .height = 6,
                                   .width = 5,
                                   .in_channels = 16,
                                   .out_channels = 32,
                                   .kernel = 3,
                                   .stride = 1,
                                   .padding = 1,
                                   .need_dx = true};
enum {
    WEIGHTS = 32 * 3 * 3 * 16,
    INPUTS = 3 * 6 * 5 * 16,
    OUTPUTS = 3 * 6 * 5 * 32,
    OFFSET = 5 /* the layer's first element in the flat array */
};

typedef struct pass {
    float *y, *dx;
} pass;

/* y and dx of `layer` with these weights, packed or to be packed here. */
static pass run_layer(subject *s, plan *plan, const conv2d_shape *shape, const float *weights,
                      void *packed, const float *x, const float *dy) {
    ls_error error = {0};
    dims in = {3, 6, 5, 16}, out = {3, 6, 5, 32};
    float *zeros = floats(32);
    array bias = parameters_of(s, zeros, 32);
    array device_x = tensor_of(s, shape->in_layout, in, x);
    array device_dy = tensor_of(s, shape->out_layout, out, dy);
    array y = tensor_new(s, shape->out_layout, out), dx = tensor_new(s, shape->in_layout, in);
    array workspace = array_new(s, s->ops->plan_workspace_bytes(plan));
    must(s->ops->conv2d_forward(plan, s->stream, device_x.memory, weights, packed,
                                parameters_at(&bias), y.memory, workspace.memory, &error),
         &error);
    must(s->ops->conv2d_backward_data(plan, s->stream, device_dy.memory, weights, packed, dx.memory,
                                      workspace.memory, &error),
         &error);
    pass result = {tensor_get(s, shape->out_layout, out, &y),
                   tensor_get(s, shape->in_layout, in, &dx)};
    array *all[] = {&bias, &device_x, &device_dy, &y, &dx, &workspace};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        array_free(s, all[i]);
    free(zeros);
    return result;
}

static pass run_ref_layer(subject *ref, const float *weights, const float *x, const float *dy) {
    ls_error error = {0};
    plan *plan;
    must(ref->ops->conv2d_prepare(ref->device, &layer, NULL, &plan, &error), &error);
    array device_weights = parameters_of(ref, weights, WEIGHTS);
    pass result = run_layer(ref, plan, &layer, parameters_at(&device_weights), NULL, x, dy);
    array_free(ref, &device_weights);
    ref->ops->plan_release(ref->device, plan);
    return result;
}

static void one_packed(subject *s, subject *ref, method method) {
    ls_error error = {0};
    conv2d_shape shape = layer;
    shape.in_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, shape.in_channels);
    shape.out_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, shape.out_channels);
    size_t all = OFFSET + WEIGHTS + 32;
    plan *plan;
    must(s->ops->conv2d_prepare(s->device, &shape, NULL, &plan, &error), &error);
    float *start = random_floats(all, 8500, -1, 1), *gradients = random_floats(all, 8501, -1, 1);
    float *x = random_floats(INPUTS, 8502, -1, 1), *dy = random_floats(OUTPUTS, 8503, -1, 1);
    float *zeros = floats(all);
    array w = parameters_of(s, start, all), g = parameters_of(s, gradients, all);
    array m = parameters_of(s, zeros, all), v = parameters_of(s, zeros, all);
    array packed = array_new(s, s->ops->plan_packed_bytes(plan));
    must(s->ops->pack_weights(plan, s->stream, parameters_at(&w) + OFFSET, packed.memory, &error),
         &error);
    parameter_range both[] = {{.first = OFFSET + WEIGHTS, .count = 32, .learning_rate = 0.1f},
                              {.first = OFFSET,
                               .count = WEIGHTS,
                               .learning_rate = 0.1f,
                               .packing = plan,
                               .packed = packed.memory}};
    step_on_device(s, method, &w, &g, &m, &v, 1, both, 2);
    float *now = parameters_get(s, &w, all);
    expect(memcmp(now + OFFSET, start + OFFSET, WEIGHTS * sizeof *now) != 0, "nothing was updated");
    pass got = run_layer(s, plan, &shape, parameters_at(&w) + OFFSET, packed.memory, x, dy);
    pass want = run_ref_layer(ref, now + OFFSET, x, dy);
    expect_close("y with the new weights", got.y, want.y, OUTPUTS, sum_tolerance(9 * 16));
    expect_close("dx with the new weights", got.dx, want.dx, INPUTS, sum_tolerance(9 * 32));
    s->ops->plan_release(s->device, plan);
    array *arrays[] = {&w, &g, &m, &v, &packed};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        array_free(s, arrays[i]);
    free(start), free(gradients), free(x), free(dy), free(zeros), free(now);
    free(got.y), free(got.dx), free(want.y), free(want.dx);
    case_done("%s %s refreshes packed weights, %d thread(s)", s->name, method_names[method],
              s->threads);
}

void test_packed_copies(subject *s, subject *ref) {
    one_packed(s, ref, ADAM);
    one_packed(s, ref, SGD);
    one_packed(s, ref, SGD_MOMENTUM);
}
