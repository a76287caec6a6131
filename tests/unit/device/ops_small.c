/* Ops without a plan: element by element, and the loss. What they must give is computed here, in
 * double. */
#include "ops_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void relu_and_add(subject *s, size_t count) {
    ls_error error = {0};
    float *y = random_values(s, count, 7000, -1, 1), *dy = random_values(s, count, 7001, -1, 1);
    float *want = floats(count);
    for (size_t i = 0; i < count; i += 5)
        y[i] = i % 2 ? 0.0f : -0.0f; /* zero is not positive, either sign */
    array device_y = values_of(s, y, count), device_dy = values_of(s, dy, count);
    must(s->ops->relu_backward(s->device, s->stream, count, s->type, device_y.memory,
                               device_dy.memory, &error),
         &error);
    float *got = values_get(s, &device_dy, count);
    for (size_t i = 0; i < count; i++)
        want[i] = y[i] > 0 ? dy[i] : 0;
    expect_equal("relu_backward", got, want, count);
    must(s->ops->add(s->device, s->stream, count, s->type, device_y.memory, device_dy.memory,
                     &error),
         &error);
    free(got);
    got = values_get(s, &device_dy, count);
    for (size_t i = 0; i < count; i++) /* one addition has one right answer */
        want[i] = s->type == DTYPE_F32 ? want[i] + y[i] : rounded_to(s->precision, want[i] + y[i]);
    expect_equal("add", got, want, count);
    array_free(s, &device_y), array_free(s, &device_dy);
    free(y), free(dy), free(want), free(got);
    case_done(s, "relu_backward and add, %zu elements", count);
}

void test_elementwise(subject *s) {
    relu_and_add(s, 1);
    relu_and_add(s, 17);
    relu_and_add(s, 100003);
}

/* --- loss */

/* Of a target with `smoothing`; what it is at a class. */
static double target(int class, int label, int classes, float smoothing) {
    return (class == label ? 1 - (double)smoothing : 0) + (double)smoothing / classes;
}

static double sample_loss(const float *logits, int classes, int label, float smoothing,
                          double *probabilities) {
    double largest = -INFINITY, sum = 0, loss = 0;
    for (int c = 0; c < classes; c++)
        largest = fmax(largest, (double)logits[c]);
    for (int c = 0; c < classes; c++)
        sum += probabilities[c] = exp((double)logits[c] - largest);
    for (int c = 0; c < classes; c++)
        probabilities[c] /= sum;
    for (int c = 0; c < classes; c++)
        if (target(c, label, classes, smoothing) != 0)
            loss +=
                target(c, label, classes, smoothing) * (log(sum) + (largest - (double)logits[c]));
    return loss;
}

static bool is_first_largest(const float *logits, int classes, int label) {
    for (int c = 0; c < classes; c++)
        if (c < label ? logits[c] >= logits[label] : logits[c] > logits[label])
            return false;
    return true;
}

typedef struct loss_case {
    int n, classes;
    float magnitude;  /* of the logits */
    float scale;      /* gradient_scale */
    bool ties;        /* logits rounded, so that the largest is often not alone */
    bool gradient;    /* false: dlogits NULL */
    float loss_scale; /* 0: no state is given */
    float smoothing;
} loss_case;

static float *logits_of(const subject *s, const loss_case *c, uint64_t stream) {
    size_t count = (size_t)c->n * (size_t)c->classes;
    float *logits = random_floats(count, stream, -1, 1);
    for (size_t i = 0; i < count; i++) {
        if (c->ties)
            logits[i] = roundf(logits[i] * 2) / 2;
        logits[i] = rounded_to(s->precision, logits[i] * c->magnitude);
    }
    return logits;
}

static void call_loss(subject *s, const loss_case *c, const array *logits, const array *labels,
                      const array *dlogits, const array *totals) {
    ls_error error = {0};
    step_state now = {.step = 41, .skipped = 2, .loss_scale = c->loss_scale};
    array state = array_of(s, &now, sizeof now);
    loss_arguments arguments = {.n = c->n,
                                .classes = c->classes,
                                .type = s->type,
                                .logits = logits->memory,
                                .labels = labels->memory,
                                .smoothing = c->smoothing,
                                .gradient_scale = c->scale,
                                .state = c->loss_scale > 0 ? state.memory : NULL,
                                .dlogits = c->gradient ? dlogits->memory : NULL,
                                .totals = totals->memory};
    must(s->ops->softmax_cross_entropy(s->device, s->stream, &arguments, &error), &error);
    array_free(s, &state);
}

/* How many classes come before the label's. */
static int place_of(const float *row, int classes, int label) {
    int before = 0;
    for (int k = 0; k < classes; k++)
        before += row[k] > row[label] || (row[k] == row[label] && k < label);
    return before;
}

static void one_loss(subject *s, const loss_case *c, uint64_t stream) {
    size_t count = (size_t)c->n * (size_t)c->classes;
    float *logits = logits_of(s, c, stream), *want = floats(count);
    double scale = (double)c->scale * (c->loss_scale > 0 ? (double)c->loss_scale : 1);
    int32_t *labels = malloc((size_t)c->n * sizeof *labels);
    double *probabilities = malloc((size_t)c->classes * sizeof *probabilities);
    loss_totals sum = {.loss_sum = 100.5, .correct = 7, .samples = 9}, found;
    loss_totals expected = sum;
    for (int i = 0; i < c->n; i++) {
        const float *row = logits + (size_t)i * (size_t)c->classes;
        labels[i] = (i * 7 + 1) % c->classes;
        /* two calls, so all is counted twice */
        expected.loss_sum +=
            2 * sample_loss(row, c->classes, labels[i], c->smoothing, probabilities);
        expected.correct += 2 * is_first_largest(row, c->classes, labels[i]);
        expected.samples += 2;
        if (!c->gradient)
            expected.among_five += 2 * (place_of(row, c->classes, labels[i]) < 5);
        for (int k = 0; k < c->classes; k++) {
            float gradient =
                (float)((probabilities[k] - target(k, labels[i], c->classes, c->smoothing)) *
                        scale);
            float stored = rounded_to(s->precision, gradient);
            want[(size_t)i * (size_t)c->classes + (size_t)k] = isinf(stored) ? stored : gradient;
        }
    }
    array device_logits = values_of(s, logits, count);
    array device_labels = array_of(s, labels, (size_t)c->n * sizeof *labels);
    array dlogits = values_new(s, count);
    array totals = array_of(s, &sum, sizeof sum);
    call_loss(s, c, &device_logits, &device_labels, &dlogits, &totals);
    call_loss(s, c, &device_logits, &device_labels, &dlogits, &totals);
    array_get(s, &totals, &found);
    float *got = values_get(s, &dlogits, count);
    expect(found.correct == expected.correct, "correct is %lld, expected %lld",
           (long long)found.correct, (long long)expected.correct);
    expect(found.samples == expected.samples, "samples is %lld, expected %lld",
           (long long)found.samples, (long long)expected.samples);
    expect(found.among_five == expected.among_five, "among_five is %lld, expected %lld",
           (long long)found.among_five, (long long)expected.among_five);
    /* An exponential and its sum in fp32 are good to a few 2^-24, the logarithm of the sum is at
     * most log(classes), and a sample's loss is at most as large as the logits' spread. */
    double tolerance = 0x1p-21 * c->n * (log(c->classes) + 2 * (double)c->magnitude + 1);
    expect(fabs(found.loss_sum - expected.loss_sum) <= tolerance,
           "loss_sum is %.12g, expected %.12g within %.3g", found.loss_sum, expected.loss_sum,
           tolerance);
    if (c->gradient) /* probabilities are at most 1 */
        expect_close_stored(s, "dlogits", got, want, count, 0x1p-21 * fabs(scale));
    array *all[] = {&device_logits, &device_labels, &dlogits, &totals};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        array_free(s, all[i]);
    free(logits), free(want), free(got), free(labels), free(probabilities);
    case_done(s, "softmax_cross_entropy %dx%d logits to %g%s%s, loss scale %g, smoothing %g", c->n,
              c->classes, (double)c->magnitude, c->ties ? " with ties" : "",
              c->gradient ? "" : " (no gradient)", (double)c->loss_scale, (double)c->smoothing);
}

typedef struct loss_slope {
    subject *ref;
    int n, classes;
    float *logits;
    const int32_t *labels;
    float scale, smoothing;
} loss_slope;

static double loss_of(void *context, uint64_t *signature) {
    loss_slope *self = context;
    loss_case c = {
        .n = self->n, .classes = self->classes, .scale = self->scale, .smoothing = self->smoothing};
    loss_totals totals = {0};
    array logits =
        array_of(self->ref, self->logits, (size_t)(self->n * self->classes) * sizeof(float));
    array labels = array_of(self->ref, self->labels, (size_t)self->n * sizeof(int32_t));
    array sums = array_of(self->ref, &totals, sizeof totals), none = {0};
    call_loss(self->ref, &c, &logits, &labels, &none, &sums);
    array_get(self->ref, &sums, &totals);
    array_free(self->ref, &logits), array_free(self->ref, &labels), array_free(self->ref, &sums);
    *signature = 0;
    return totals.loss_sum * (double)self->scale;
}

static void loss_differences(subject *s, subject *ref, float smoothing) {
    static const int32_t labels[] = {2, 0, 9};
    loss_slope slope = {.ref = ref,
                        .n = 3,
                        .classes = 10,
                        .labels = labels,
                        .scale = 0.125f,
                        .smoothing = smoothing};
    loss_case c = {
        .n = 3, .classes = 10, .scale = slope.scale, .gradient = true, .smoothing = smoothing};
    loss_totals zero = {0};
    slope.logits = random_floats(30, 7300, -2, 2);
    float *got = floats(30);
    array logits = array_of(s, slope.logits, 30 * sizeof(float));
    array device_labels = array_of(s, labels, sizeof labels);
    array dlogits = array_new(s, 30 * sizeof(float)), totals = array_of(s, &zero, sizeof zero);
    call_loss(s, &c, &logits, &device_labels, &dlogits, &totals);
    array_get(s, &dlogits, got);
    /* The third derivative is at most 1/8 of the scale here: step^2 / 6 of that is left over. */
    differences how = {
        .loss = loss_of, .context = &slope, .step = 0x1p-8f, .stride = 1, .tolerance = 1e-6};
    expect_gradient("dlogits", &how, slope.logits, got, 30);
    array_free(s, &logits), array_free(s, &device_labels);
    array_free(s, &dlogits), array_free(s, &totals);
    free(slope.logits), free(got);
    case_done(s, "softmax_cross_entropy: finite differences, smoothing %g", (double)smoothing);
}

/* One logit is no number: the totals say at which step, and keep it; a call without a state has no
 * step to say. */
static void lost_loss(subject *s, bool with_state) {
    static const int32_t labels[] = {2, 0, 9};
    loss_case c = {
        .n = 3, .classes = 10, .scale = 1, .gradient = true, .loss_scale = with_state ? 1 : 0};
    loss_totals zero = {0}, found;
    float *values = random_floats(30, 7400, -1, 1);
    array good = values_of(s, values, 30);
    values[17] = NAN;
    array bad = values_of(s, values, 30), device_labels = array_of(s, labels, sizeof labels);
    array dlogits = values_new(s, 30), totals = array_of(s, &zero, sizeof zero);
    call_loss(s, &c, &good, &device_labels, &dlogits, &totals);
    array_get(s, &totals, &found);
    expect(found.lost_step == 0 && isfinite(found.loss_sum), "lost at step %lld, sum %g",
           (long long)found.lost_step, found.loss_sum);
    for (int call = 0; call < 2; call++) {
        call_loss(s, &c, call ? &good : &bad, &device_labels, &dlogits, &totals);
        array_get(s, &totals, &found);
        expect(found.lost_step == (with_state ? 44 : 0) && !isfinite(found.loss_sum),
               "lost at step %lld, sum %g", (long long)found.lost_step, found.loss_sum);
    }
    array_free(s, &good), array_free(s, &bad), array_free(s, &device_labels);
    array_free(s, &dlogits), array_free(s, &totals);
    free(values);
    case_done(s, "softmax_cross_entropy: a loss that is no number, %s state",
              with_state ? "with" : "without");
}

void test_loss(subject *s, subject *ref) {
    static const loss_case cases[] = {{1, 10, 1, 1, false, true, 0, 0},
                                      {3, 10, 1, 1.0f / 64, false, true, 0, 0},
                                      {64, 10, 5, 0.5f, false, true, 1, 0},
                                      {7, 1000, 3, 1.0f / 7, false, true, 0, 0},
                                      {7, 2, 1, 1, true, true, 0, 0},
                                      {64, 10, 1, 1.0f / 64, true, true, 0, 0},
                                      {33, 10, 1e4f, 1, false, true, 0, 0},
                                      {9, 10, 1e30f, 1, false, true, 0, 0},
                                      {64, 10, 1, 1.0f, false, false, 8, 0},
                                      {5, 1, 1, 1, false, true, 0, 0},
                                      {7, 10, 1, 1024, false, true, 0, 0},
                                      {64, 10, 1, 1.0f / 64, false, true, 65536, 0},
                                      {5, 10, 1, 1.0f / 5, false, true, 3, 0},
                                      {64, 10, 3, 1.0f / 64, false, true, 0, 0.1f},
                                      {7, 1000, 3, 1.0f / 7, false, true, 0, 0.1f},
                                      {3, 7, 1, 1, true, true, 1024, 0.3f},
                                      {9, 100, 1, 1, true, false, 0, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (s->type != DTYPE_F16 || cases[i].magnitude < 65504)
            one_loss(s, &cases[i], 7100 + i);
    if (s->type ==
        DTYPE_F16) /* a scale so high that gradients overflow: to infinity, as they should */
        one_loss(s, &(loss_case){5, 10, 1, 1, false, true, 1 << 20, 0}, 7150);
    if (s->precision == PRECISION_FP32)
        loss_differences(s, ref, 0), loss_differences(s, ref, 0.2f);
    lost_loss(s, true), lost_loss(s, false);
}
