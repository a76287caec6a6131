/* Updates by every rule, over several ranges, against a double implementation written from
 * PyTorch's documentation; and the moving average. */
#include "ops_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENTS = 20011 };

/* Odd offsets and lengths, a whole number of 4096, a single element; gaps between them, which
 * nothing may touch. Rates and decays of their own. */
static const parameter_range ranges[] = {
    {.first = 1, .count = 4099, .rate_scale = 1e-3f},
    {.first = 4101, .count = 8192, .rate_scale = 1e-2f, .weight_decay = 0.1f},
    {.first = 12300, .count = 1, .rate_scale = 0.5f},
    {.first = 12303, .count = 7700, .rate_scale = 3e-4f, .weight_decay = 1e-4f}};
enum { RANGES = sizeof ranges / sizeof *ranges };

static bool is_in_a_range(size_t i) {
    for (int r = 0; r < RANGES; r++)
        if (i >= ranges[r].first && i < ranges[r].first + ranges[r].count)
            return true;
    return false;
}

/* The rate of each step; the last stays. */
static const float rates[] = {1, 0.5f, 0.25f};
enum { RATES = sizeof rates / sizeof *rates };

typedef struct rule {
    const char *name;
    bool is_sgd;
    adam_constants adam;
    sgd_constants sgd;
    float clip;       /* by norm: the gradients' factor; 0: none */
    float clip_value; /* 0: none */
} rule;

#define ADAM 0.9f, 0.999f, 1e-8f

static const rule rules[] = {
    {.name = "adam", .adam = {ADAM, false}},
    {.name = "adam, betas of 0.8 and 0.95", .adam = {0.8f, 0.95f, 1e-6f, false}},
    {.name = "adamw", .adam = {ADAM, true}},
    {.name = "sgd", .is_sgd = true},
    {.name = "sgd with momentum", .is_sgd = true, .sgd = {0.9f, false}},
    {.name = "sgd with Nesterov's momentum", .is_sgd = true, .sgd = {0.9f, true}},
    {.name = "adam, clipped by norm", .adam = {ADAM, false}, .clip = 0.375f},
    {.name = "adamw, clipped by value", .adam = {ADAM, true}, .clip_value = 0.25f},
    {.name = "sgd, clipped by value", .is_sgd = true, .clip_value = 0.25f},
    {.name = "sgd with Nesterov's momentum, clipped by norm",
     .is_sgd = true,
     .sgd = {0.9f, true},
     .clip = 0.375f},
};
enum { RULES = sizeof rules / sizeof *rules };

static double clipped(const rule *rule, double g) {
    double limit = (double)rule->clip_value;
    if (rule->clip > 0)
        g *= (double)rule->clip;
    return limit > 0 ? fmax(-limit, fmin(limit, g)) : g;
}

/* torch.optim.Adam's and AdamW's documented update, one element. */
static void adam_element(const rule *rule, double rate, double decay, double g, int step, double *w,
                         double *m, double *v) {
    const adam_constants *c = &rule->adam;
    double beta1 = (double)c->beta1, beta2 = (double)c->beta2;
    if (c->decoupled)
        *w -= rate * decay * *w;
    else
        g += decay * *w;
    *m = beta1 * *m + (1 - beta1) * g;
    *v = beta2 * *v + (1 - beta2) * g * g;
    double m_hat = *m / (1 - pow(beta1, step)), v_hat = *v / (1 - pow(beta2, step));
    *w -= rate * m_hat / (sqrt(v_hat) + (double)c->epsilon);
}

/* torch.optim.SGD's. */
static void sgd_element(const rule *rule, double rate, double decay, double g, int step, double *w,
                        double *velocity) {
    double momentum = (double)rule->sgd.momentum;
    g += decay * *w;
    *velocity = step == 1 ? g : momentum * *velocity + g;
    *w -= rate * (rule->sgd.nesterov ? g + momentum * *velocity : *velocity);
}

typedef struct doubles {
    double *w, *m, *v;
} doubles;

static void step_in_double(const rule *rule, const float *gradients, int step, doubles *state) {
    double now = (double)rates[step < RATES ? step - 1 : RATES - 1];
    for (int r = 0; r < RANGES; r++)
        for (size_t i = ranges[r].first; i < ranges[r].first + ranges[r].count; i++) {
            double rate = now * (double)ranges[r].rate_scale;
            double decay = (double)ranges[r].weight_decay, g = clipped(rule, (double)gradients[i]);
            if (rule->is_sgd)
                sgd_element(rule, rate, decay, g, step, &state->w[i], &state->m[i]);
            else
                adam_element(rule, rate, decay, g, step, &state->w[i], &state->m[i], &state->v[i]);
        }
}

static void call(subject *s, const rule *rule, const update_arguments *arguments,
                 const update_pair *pair) {
    ls_error error = {0};
    const ops *ops = s->ops;
    if (rule->is_sgd && pair)
        must(ops->sgd_pair(s->device, s->stream, &rule->sgd, arguments, pair, ranges, RANGES,
                           &error),
             &error);
    else if (rule->is_sgd)
        must(ops->sgd(s->device, s->stream, &rule->sgd, arguments, ranges, RANGES, &error), &error);
    else if (pair)
        must(ops->adam_pair(s->device, s->stream, &rule->adam, arguments, pair, ranges, RANGES,
                            &error),
             &error);
    else
        must(ops->adam(s->device, s->stream, &rule->adam, arguments, ranges, RANGES, &error),
             &error);
}

static bool has_moment(const rule *rule, int moment) {
    return rule->is_sgd ? moment == 0 && rule->sgd.momentum != 0 : true;
}

/* Some of the updates before this one were skipped: the rate is the step's, the rest the update's.
 */
static void step_on_device(subject *s, const rule *rule, const array *w, const array *g,
                           const array *m, const array *v, int step, float loss_scale) {
    bool skipped = step == RATES;
    step_state now = {.step = step - 1, .loss_scale = loss_scale, .clip = rule->clip};
    float moved[RATES + 1] = {rates[0], rates[0], rates[1], rates[2]};
    now.skipped = skipped;
    array state = array_of(s, &now, sizeof now);
    array table = skipped ? array_of(s, moved, sizeof moved) : array_of(s, rates, sizeof rates);
    update_arguments arguments = {.parameters = parameters_at(w),
                                  .gradients = parameters_at(g),
                                  .moments = {has_moment(rule, 0) ? parameters_at(m) : NULL,
                                              has_moment(rule, 1) ? parameters_at(v) : NULL},
                                  .rates = table.memory,
                                  .rate_count = skipped ? RATES + 1 : RATES,
                                  .clips = rule->clip > 0,
                                  .clip_value = rule->clip_value,
                                  .state = state.memory};
    call(s, rule, &arguments, NULL);
    array_free(s, &state), array_free(s, &table);
}

/* Gradients in two arrays, and parameters that are written to a second place: the bits of the sum
 * in one array, in both places, and nothing else touched. Where the host's memory is the device's.
 */
static void two_gradients(subject *s, const rule *rule) {
    step_state now = {.step = 0, .loss_scale = 1, .clip = rule->clip};
    float *start = random_floats(ELEMENTS, 8100, -1, 1),
          *one = random_floats(ELEMENTS, 8101, -1, 1),
          *other = random_floats(ELEMENTS, 8102, -1, 1), *sum = floats(ELEMENTS);
    float *w[2], *m[2], *v[2], *copied = floats(ELEMENTS);
    for (size_t i = 0; i < ELEMENTS; i++)
        sum[i] = one[i] + other[i];
    for (int way = 0; way < 2; way++) {
        const update_pair pair = {.added = other, .copied = copied};
        w[way] = floats(ELEMENTS), m[way] = floats(ELEMENTS), v[way] = floats(ELEMENTS);
        memcpy(w[way], start, ELEMENTS * sizeof *start);
        update_arguments arguments = {
            .parameters = w[way],
            .gradients = way ? one : sum,
            .moments = {has_moment(rule, 0) ? m[way] : NULL, has_moment(rule, 1) ? v[way] : NULL},
            .rates = rates,
            .rate_count = RATES,
            .clips = rule->clip > 0,
            .clip_value = rule->clip_value,
            .state = &now};
        call(s, rule, &arguments, way ? &pair : NULL);
    }
    expect_equal("parameters", w[1], w[0], ELEMENTS);
    expect_equal("first moments", m[1], m[0], ELEMENTS);
    expect_equal("second moments", v[1], v[0], ELEMENTS);
    for (size_t i = 0; i < ELEMENTS; i++)
        expect(copied[i] == (is_in_a_range(i) ? w[0][i] : 0), "copy of element %zu is %.9g", i,
               (double)copied[i]);
    case_done(s, "%s: gradients in two arrays, parameters to two places", rule->name);
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

static void one_rule(subject *s, const rule *rule, int steps, float loss_scale) {
    float *start = random_floats(ELEMENTS, 8000, -1, 1), *zeros = floats(ELEMENTS);
    array w = parameters_of(s, start, ELEMENTS);
    array m = parameters_of(s, zeros, ELEMENTS), v = parameters_of(s, zeros, ELEMENTS);
    if (rule->is_sgd) { /* the first velocity is the gradient, whatever was there */
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
        step_on_device(s, rule, &w, &g, &m, &v, step, loss_scale);
        step_in_double(rule, gradients, step, &state);
        float *kept = parameters_get(s, &g, ELEMENTS);
        expect_equal("gradients after the step", kept, scaled, ELEMENTS);
        array_free(s, &g);
        free(gradients), free(scaled), free(kept);
    }
    compare(s, &w, &state, start, steps);
    array_free(s, &w), array_free(s, &m), array_free(s, &v);
    free(start), free(zeros), free(state.w), free(state.m), free(state.v);
    case_done(s, "%s, %d step(s) over %d ranges, loss scale %g", rule->name, steps, RANGES,
              (double)loss_scale);
}

/* Over a number of updates, from what lay there before; a skipped one changes nothing. */
static void one_average(subject *s, size_t count) {
    ls_error error = {0};
    const double decay = 0.9;
    float *found = random_floats(count, 8200, -1, 1), *want = floats(count);
    array average = parameters_of(s, found, count);
    for (int update = 0; update < 4; update++) {
        float *values = random_floats(count, 8201 + (uint64_t)update, -1, 1);
        step_state now = {.step = update, .overflow = update == 2};
        array from = parameters_of(s, values, count), state = array_of(s, &now, sizeof now);
        must(s->ops->average(s->device, s->stream, parameters_at(&from), parameters_at(&average),
                             count, decay, state.memory, &error),
             &error);
        for (size_t i = 0; i < count && !now.overflow; i++)
            want[i] = update == 0 ? values[i]
                                  : (float)((double)want[i] +
                                            (1 - decay) * ((double)values[i] - (double)want[i]));
        array_free(s, &from), array_free(s, &state);
        free(values);
    }
    free(found);
    found = parameters_get(s, &average, count);
    expect_close("average", found, want, count, 3 * 0x1p-22);
    array_free(s, &average);
    free(found), free(want);
    case_done(s, "moving average of %zu elements", count);
}

void test_optimizer(subject *s) {
    static const int steps[] = {1, 2, 25};
    for (int r = 0; r < RULES; r++)
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            one_rule(s, &rules[r], steps[i], i % 2 ? 1024 : 1);
    expect(!s->ops->adam_pair == !s->ops->sgd_pair, "pairs are updated by one rule only");
    for (int r = 0; r < RULES && s->ops->adam_pair; r++)
        two_gradients(s, &rules[r]);
    one_average(s, 1), one_average(s, 1027), one_average(s, 100003);
}
