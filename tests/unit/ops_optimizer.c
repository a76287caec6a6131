/* Adam and SGD over several ranges against a double implementation written from PyTorch's
 * documentation. */
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
                           const array *m, const array *v, int step, float loss_scale) {
    ls_error error = {0};
    step_state now = {.step = step - 1, .loss_scale = loss_scale};
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
    must(method == ADAM ? s->ops->adam(s->device, s->stream, &adam, ranges, RANGES, &error)
                        : s->ops->sgd(s->device, s->stream, &sgd, ranges, RANGES, &error),
         &error);
    array_free(s, &state);
}

/* Gradients in two arrays, and parameters that are written to a second place: the bits of the sum
 * in one array, in both places, and nothing else touched. Where the host's memory is the device's.
 */
static void two_gradients(subject *s, method method) {
    ls_error error = {0};
    step_state now = {.step = 0, .loss_scale = 1};
    float *start = random_floats(ELEMENTS, 8100, -1, 1),
          *one = random_floats(ELEMENTS, 8101, -1, 1),
          *other = random_floats(ELEMENTS, 8102, -1, 1), *sum = floats(ELEMENTS);
    float *w[2], *m[2], *v[2], *copied = floats(ELEMENTS);
    for (size_t i = 0; i < ELEMENTS; i++)
        sum[i] = one[i] + other[i];
    for (int way = 0; way < 2; way++) {
        w[way] = floats(ELEMENTS), m[way] = floats(ELEMENTS), v[way] = floats(ELEMENTS);
        memcpy(w[way], start, ELEMENTS * sizeof *start);
        adam_arguments adam = {.parameters = w[way],
                               .gradients = way ? one : sum,
                               .added = way ? other : NULL,
                               .copied = way ? copied : NULL,
                               .first_moment = m[way],
                               .second_moment = v[way],
                               .beta1 = 0.9f,
                               .beta2 = 0.999f,
                               .epsilon = 1e-8f,
                               .state = &now};
        sgd_arguments sgd = {.parameters = w[way],
                             .gradients = way ? one : sum,
                             .added = way ? other : NULL,
                             .copied = way ? copied : NULL,
                             .velocity = method == SGD_MOMENTUM ? m[way] : NULL,
                             .momentum = method == SGD_MOMENTUM ? 0.9f : 0,
                             .state = &now};
        must(method == ADAM ? s->ops->adam(s->device, s->stream, &adam, ranges, RANGES, &error)
                            : s->ops->sgd(s->device, s->stream, &sgd, ranges, RANGES, &error),
             &error);
    }
    expect_equal("parameters", w[1], w[0], ELEMENTS);
    expect_equal("first moments", m[1], m[0], ELEMENTS);
    expect_equal("second moments", v[1], v[0], ELEMENTS);
    for (size_t i = 0; i < ELEMENTS; i++)
        expect(copied[i] == (is_in_a_range(i) ? w[0][i] : 0), "copy of element %zu is %.9g", i,
               (double)copied[i]);
    case_done(s, "%s: gradients in two arrays, parameters to two places", method_names[method]);
    float *all[] = {start, one, other, sum, copied, w[0], w[1], m[0], m[1], v[0], v[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
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

static void one_method(subject *s, method method, int steps, float loss_scale) {
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
        float *scaled = floats(ELEMENTS);
        for (size_t i = 0; i < ELEMENTS; i++)
            scaled[i] = gradients[i] * loss_scale; /* exact: a power of two */
        array g = parameters_of(s, scaled, ELEMENTS);
        step_on_device(s, method, &w, &g, &m, &v, step, loss_scale);
        step_in_double(method, gradients, step, &state);
        float *kept = parameters_get(s, &g, ELEMENTS);
        expect_equal("gradients after the step", kept, scaled, ELEMENTS);
        array_free(s, &g);
        free(gradients), free(scaled), free(kept);
    }
    compare(s, &w, &state, start, steps);
    array_free(s, &w), array_free(s, &m), array_free(s, &v);
    free(start), free(zeros), free(state.w), free(state.m), free(state.v);
    case_done(s, "%s, %d step(s) over %d ranges, loss scale %g", method_names[method], steps,
              RANGES, (double)loss_scale);
}

void test_optimizer(subject *s) {
    static const int steps[] = {1, 2, 25};
    for (int m = ADAM; m <= SGD_MOMENTUM; m++)
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            one_method(s, (method)m, steps[i], i % 2 ? 1024 : 1);
    for (int m = ADAM; m <= SGD_MOMENTUM && s->device->facts.host_addressable; m++)
        two_gradients(s, (method)m);
}
