/* Samples mixed with each other, and the loss of two labels: the draws' distribution, the images by
 * the formulas, any part of a batch with the bits of the whole. */
#include "device/mixing.h"
#include "op_trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 7, SIDE = 6, CHANNELS = 3, SAMPLE = SIDE * SIDE * CHANNELS };

static void distribution(subject *s, double alpha, bool cut) {
    enum { STEPS = 4000 };
    const mixing how = {.seed = 3, .mixup = cut ? 0 : alpha, .cutmix = cut ? alpha : 0};
    double sum = 0, squares = 0, variance = 0.25 / (2 * alpha + 1);
    for (int step = 0; step < STEPS; step++) {
        mixing_draw drawn = mixing_draw_of(&how, step, 224, 200);
        double area = (double)(drawn.bottom - drawn.top) * (drawn.right - drawn.left) / 224 / 200;
        expect(drawn.cut == cut && drawn.weight >= 0 && drawn.weight <= 1, "a weight of %g",
               drawn.weight);
        expect(!cut || fabs(drawn.weight - (1 - area)) < 1e-12, "%g beside a box of %g",
               drawn.weight, area);
        sum += drawn.weight, squares += drawn.weight * drawn.weight;
    }
    double mean = sum / STEPS, found = squares / STEPS - mean * mean;
    if (!cut) { /* boxes are cut off at the borders */
        expect(fabs(mean - 0.5) < 5 * sqrt(variance / STEPS), "a mean of %g", mean);
        expect(fabs(found - variance) < 0.06 * variance, "a variance of %g, not %g", found,
               variance);
    }
    case_done(s, "mixing: %s's weights of alpha %g", cut ? "cutmix" : "mixup", alpha);
}

static void both_in_turn(subject *s) {
    const mixing how = {.seed = 4, .mixup = 0.8, .cutmix = 1};
    int cut = 0;
    for (int step = 0; step < 1000; step++)
        cut += mixing_draw_of(&how, step, 32, 32).cut;
    expect(cut > 420 && cut < 580, "%d of 1000 steps cut", cut);
    case_done(s, "mixing: either in half of the steps");
}

static mixing_draw draw_at(const mixing *how, const step_state *state) {
    return mixing_draw_of(how, step_state_number(state), SIDE, SIDE);
}

/* Element e of a sample, in [h, w, c] order, mixed with its partner's. */
static float expected(const subject *s, const mixing_draw *drawn, const float *own,
                      const float *other, int e) {
    int row = e / CHANNELS / SIDE, column = e / CHANNELS % SIDE;
    bool in_box =
        row >= drawn->top && row < drawn->bottom && column >= drawn->left && column < drawn->right;
    if (drawn->cut)
        return in_box ? other[e] : own[e];
    double mixed = drawn->weight * (double)own[e] + (1 - drawn->weight) * (double)other[e];
    return s->type == DTYPE_F32 ? (float)mixed : rounded_to(s->precision, (float)mixed);
}

/* Samples [first, end) of the batch, with partners from outside as they were. */
static void mix_part(subject *s, const mixing *how, const step_state *state, tensor_layout layout,
                     const float *images, const int32_t *labels, int first, int end, float *got,
                     int32_t *others, float *weights) {
    ls_error error = {0};
    dims part = {end - first, SIDE, SIDE, CHANNELS}, one = {1, SIDE, SIDE, CHANNELS};
    int before = first > 0 ? first - 1 : 0, after = end < N ? end : N - 1;
    array in = tensor_of(s, layout, part, images + first * SAMPLE);
    array left = tensor_of(s, layout, one, images + before * SAMPLE);
    array right = tensor_of(s, layout, one, images + after * SAMPLE);
    mix_arguments a = {.how = *how,
                       .state = state,
                       .first = 20 + first,
                       .global_count = 20 + N,
                       .count = end - first,
                       .height = SIDE,
                       .width = SIDE,
                       .channels = CHANNELS,
                       .layout = layout,
                       .type = s->type,
                       .images = in.memory,
                       .labels = labels + first,
                       .before = left.memory,
                       .after = right.memory,
                       .before_label = labels[before],
                       .after_label = labels[after],
                       .other_labels = others,
                       .weights = weights};
    must(s->ops->mix(s->device, s->stream, &a, &error), &error);
    float *out = tensor_get(s, layout, part, &in);
    memcpy(got, out, (size_t)(end - first) * SAMPLE * sizeof *out);
    free(out), array_free(s, &in), array_free(s, &left), array_free(s, &right);
}

static void one_batch(subject *s, tensor_layout layout, bool cut, uint64_t stream) {
    static const int32_t labels[N] = {3, 1, 4, 1, 5, 9, 2};
    const mixing how = {.seed = stream, .mixup = cut ? 0 : 0.8, .cutmix = cut ? 1 : 0};
    step_state state = {.step = 40, .skipped = 2};
    while (cut && draw_at(&how, &state).weight > 0.9)
        state.step++; /* a box that is there */
    mixing_draw drawn = draw_at(&how, &state);
    float *images = random_values(s, N * SAMPLE, stream, -1, 1);
    float *want = floats(N * SAMPLE), *got = floats(N * SAMPLE), *part = floats(N * SAMPLE);
    int32_t others[N], part_others[N];
    float weights[N], part_weights[N];
    mix_part(s, &how, &state, layout, images, labels, 0, N, got, others, weights);
    for (int i = 0; i < N; i++) {
        int other = (i ^ 1) < N ? i ^ 1 : i;
        for (int e = 0; e < SAMPLE; e++)
            want[i * SAMPLE + e] =
                other == i ? images[i * SAMPLE + e]
                           : expected(s, &drawn, images + i * SAMPLE, images + other * SAMPLE, e);
        expect(others[i] == labels[other] && weights[i] == (other == i ? 1 : (float)drawn.weight),
               "sample %d: label %d and %g", i, others[i], (double)weights[i]);
    }
    expect_close_stored(s, "mixed", got, want, N * SAMPLE, 0);
    for (int at = 1; at < N; at++)
        for (int side = 0; side < 2; side++) {
            int first = side ? at : 0, end = side ? N : at;
            mix_part(s, &how, &state, layout, images, labels, first, end, part, part_others,
                     part_weights);
            expect_equal("a part", part, got + first * SAMPLE, (size_t)(end - first) * SAMPLE);
            expect(memcmp(part_others, others + first, (size_t)(end - first) * sizeof *others) ==
                           0 &&
                       memcmp(part_weights, weights + first,
                              (size_t)(end - first) * sizeof *weights) == 0,
                   "targets of [%d, %d)", first, end);
        }
    free(images), free(want), free(got), free(part);
    case_done(s, "mixing: %s, %s, whole and cut in two anywhere", cut ? "cutmix" : "mixup",
              layout_name(layout));
}

/* Cross-entropy against both labels, each smoothed, weighed. */
static void two_labels(subject *s, float smoothing) {
    enum { SAMPLES = 9, CLASSES = 11 };
    ls_error error = {0};
    float *logits = random_values(s, SAMPLES * CLASSES, 18100, -3, 3), want[SAMPLES * CLASSES];
    int32_t labels[SAMPLES], others[SAMPLES];
    float weights[SAMPLES];
    double sum = 0;
    for (int i = 0; i < SAMPLES; i++) {
        labels[i] = i % CLASSES, others[i] = i == 4 ? labels[i] : 7 * i % CLASSES;
        weights[i] = (float)i / SAMPLES;
        double all = 0, weight = (double)weights[i];
        for (int c = 0; c < CLASSES; c++)
            all += exp((double)logits[i * CLASSES + c]);
        for (int c = 0; c < CLASSES; c++) {
            double target = (1 - (double)smoothing) *
                                (weight * (c == labels[i]) + (1 - weight) * (c == others[i])) +
                            (double)smoothing / CLASSES;
            double p = exp((double)logits[i * CLASSES + c]) / all;
            want[i * CLASSES + c] = (float)((p - target) * 0.25);
            sum -= target * log(p);
        }
    }
    array in = values_of(s, logits, SAMPLES * CLASSES), out = values_new(s, SAMPLES * CLASSES);
    loss_totals totals = {0};
    loss_arguments a = {.n = SAMPLES,
                        .classes = CLASSES,
                        .type = s->type,
                        .logits = in.memory,
                        .labels = labels,
                        .other_labels = others,
                        .weights = weights,
                        .smoothing = smoothing,
                        .gradient_scale = 0.25f,
                        .dlogits = out.memory,
                        .totals = &totals};
    must(s->ops->softmax_cross_entropy(s->device, s->stream, &a, &error), &error);
    float *got = values_get(s, &out, SAMPLES * CLASSES);
    expect_close_stored(s, "dlogits", got, want, SAMPLES * CLASSES, 1e-7);
    expect(fabs(totals.loss_sum - sum) < 1e-5 * sum, "a loss of %.9g, not %.9g", totals.loss_sum,
           sum);
    free(logits), free(got), array_free(s, &in), array_free(s, &out);
    case_done(s, "loss of two labels, smoothed by %g", (double)smoothing);
}

void test_mix(subject *s, subject *ref) {
    (void)ref;
    if (!s->ops->mix) {
        expect(!s->device->facts.host_addressable, "a device of the host mixes");
        case_done(s, "mixing: not on this device");
        return;
    }
    if (s->precision == PRECISION_FP32) {
        distribution(s, 0.2, false);
        distribution(s, 1, false);
        distribution(s, 2.5, false);
        distribution(s, 1, true);
        both_in_turn(s);
    }
    static const tensor_layout layouts[] = {LAYOUT_NHWC, LAYOUT_NCHW, LAYOUT_NCHW16C};
    for (uint64_t i = 0; i < 6; i++)
        one_batch(s, layouts[i / 2], i % 2, 18000 + i);
    two_labels(s, 0);
    two_labels(s, 0.1f);
}
