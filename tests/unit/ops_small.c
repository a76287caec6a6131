/* The ops without a plan: element by element, the loss, the batch. What they must give is computed
 * here, in double. */
#include "ops_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void relu_and_add(subject *s, size_t count) {
    ls_error error = {0};
    size_t bytes = count * sizeof(float);
    float *y = random_floats(count, 7000, -1, 1), *dy = random_floats(count, 7001, -1, 1);
    float *want = floats(count), *got = floats(count);
    for (size_t i = 0; i < count; i += 5)
        y[i] = i % 2 ? 0.0f : -0.0f; /* zero is not positive, either sign */
    array device_y = array_of(s, y, bytes), device_dy = array_of(s, dy, bytes);
    must(s->ops->relu_backward(s->device, s->stream, count, DTYPE_F32, device_y.memory,
                               device_dy.memory, &error),
         &error);
    array_get(s, &device_dy, got);
    for (size_t i = 0; i < count; i++)
        want[i] = y[i] > 0 ? dy[i] : 0;
    expect_equal("relu_backward", got, want, count);
    must(s->ops->add(s->device, s->stream, count, DTYPE_F32, device_y.memory, device_dy.memory,
                     &error),
         &error);
    array_get(s, &device_dy, got);
    for (size_t i = 0; i < count; i++)
        want[i] += y[i]; /* one fp32 addition has one right answer */
    expect_equal("add", got, want, count);
    array_free(s, &device_y), array_free(s, &device_dy);
    free(y), free(dy), free(want), free(got);
    case_done("%s relu_backward and add, %zu elements, %d thread(s)", s->name, count, s->threads);
}

void test_elementwise(subject *s) {
    relu_and_add(s, 1);
    relu_and_add(s, 17);
    relu_and_add(s, 100003);
}

/* --- loss */

static double sample_loss(const float *logits, int classes, int label, double *probabilities) {
    double largest = -INFINITY, sum = 0;
    for (int c = 0; c < classes; c++)
        largest = fmax(largest, (double)logits[c]);
    for (int c = 0; c < classes; c++)
        sum += probabilities[c] = exp((double)logits[c] - largest);
    for (int c = 0; c < classes; c++)
        probabilities[c] /= sum;
    return log(sum) + (largest - (double)logits[label]);
}

static bool is_first_largest(const float *logits, int classes, int label) {
    for (int c = 0; c < classes; c++)
        if (c < label ? logits[c] >= logits[label] : logits[c] > logits[label])
            return false;
    return true;
}

typedef struct loss_case {
    int n, classes;
    float magnitude; /* of the logits */
    float scale;     /* gradient_scale */
    bool ties;       /* logits rounded, so that the largest is often not alone */
    bool gradient;   /* false: dlogits NULL */
} loss_case;

static float *logits_of(const loss_case *c, uint64_t stream) {
    size_t count = (size_t)c->n * (size_t)c->classes;
    float *logits = random_floats(count, stream, -1, 1);
    for (size_t i = 0; i < count; i++) {
        if (c->ties)
            logits[i] = roundf(logits[i] * 2) / 2;
        logits[i] *= c->magnitude;
    }
    return logits;
}

static void call_loss(subject *s, const loss_case *c, const array *logits, const array *labels,
                      const array *dlogits, const array *totals) {
    ls_error error = {0};
    must(s->ops->softmax_cross_entropy(
             s->device, s->stream, c->n, c->classes, DTYPE_F32, logits->memory, labels->memory,
             c->scale, NULL, c->gradient ? dlogits->memory : NULL, totals->memory, &error),
         &error);
}

static void one_loss(subject *s, const loss_case *c, uint64_t stream) {
    size_t count = (size_t)c->n * (size_t)c->classes;
    float *logits = logits_of(c, stream), *want = floats(count), *got = floats(count);
    int32_t *labels = malloc((size_t)c->n * sizeof *labels);
    double *probabilities = malloc((size_t)c->classes * sizeof *probabilities);
    loss_totals sum = {.loss_sum = 100.5, .correct = 7, .samples = 9}, found;
    loss_totals expected = sum;
    for (int i = 0; i < c->n; i++) {
        const float *row = logits + (size_t)i * (size_t)c->classes;
        labels[i] = (i * 7 + 1) % c->classes;
        /* two calls, so all is counted twice */
        expected.loss_sum += 2 * sample_loss(row, c->classes, labels[i], probabilities);
        expected.correct += 2 * is_first_largest(row, c->classes, labels[i]);
        expected.samples += 2;
        for (int k = 0; k < c->classes; k++)
            want[(size_t)i * (size_t)c->classes + (size_t)k] =
                (float)((probabilities[k] - (k == labels[i])) * (double)c->scale);
    }
    array device_logits = array_of(s, logits, count * sizeof(float));
    array device_labels = array_of(s, labels, (size_t)c->n * sizeof *labels);
    array dlogits = array_new(s, count * sizeof(float));
    array totals = array_of(s, &sum, sizeof sum);
    call_loss(s, c, &device_logits, &device_labels, &dlogits, &totals);
    call_loss(s, c, &device_logits, &device_labels, &dlogits, &totals);
    array_get(s, &totals, &found);
    array_get(s, &dlogits, got);
    expect(found.correct == expected.correct, "correct is %lld, expected %lld",
           (long long)found.correct, (long long)expected.correct);
    expect(found.samples == expected.samples, "samples is %lld, expected %lld",
           (long long)found.samples, (long long)expected.samples);
    /* An exponential and its sum in fp32 are good to a few 2^-24, the logarithm of the sum is at
     * most log(classes), and a sample's loss is at most as large as the logits' spread. */
    double tolerance = 0x1p-21 * c->n * (log(c->classes) + 2 * (double)c->magnitude + 1);
    expect(fabs(found.loss_sum - expected.loss_sum) <= tolerance,
           "loss_sum is %.12g, expected %.12g within %.3g", found.loss_sum, expected.loss_sum,
           tolerance);
    if (c->gradient) /* probabilities are at most 1 */
        expect_close("dlogits", got, want, count, 0x1p-21 * (double)fabsf(c->scale));
    array *all[] = {&device_logits, &device_labels, &dlogits, &totals};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        array_free(s, all[i]);
    free(logits), free(want), free(got), free(labels), free(probabilities);
    case_done("%s softmax_cross_entropy %dx%d logits to %g%s%s, %d thread(s)", s->name, c->n,
              c->classes, (double)c->magnitude, c->ties ? " with ties" : "",
              c->gradient ? "" : " (no gradient)", s->threads);
}

typedef struct loss_slope {
    subject *ref;
    int n, classes;
    float *logits;
    const int32_t *labels;
    float scale;
} loss_slope;

static double loss_of(void *context, uint64_t *signature) {
    loss_slope *self = context;
    loss_case c = {.n = self->n, .classes = self->classes, .scale = self->scale};
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

static void loss_differences(subject *s, subject *ref) {
    static const int32_t labels[] = {2, 0, 9};
    loss_slope slope = {.ref = ref, .n = 3, .classes = 10, .labels = labels, .scale = 0.125f};
    loss_case c = {.n = 3, .classes = 10, .scale = slope.scale, .gradient = true};
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
    case_done("%s softmax_cross_entropy: finite differences, %d thread(s)", s->name, s->threads);
}

void test_loss(subject *s, subject *ref) {
    static const loss_case cases[] = {
        {1, 10, 1, 1, false, true},      {3, 10, 1, 1.0f / 64, false, true},
        {64, 10, 5, 0.5f, false, true},  {7, 1000, 3, 1.0f / 7, false, true},
        {7, 2, 1, 1, true, true},        {64, 10, 1, 1.0f / 64, true, true},
        {33, 10, 1e4f, 1, false, true},  {9, 10, 1e30f, 1, false, true},
        {64, 10, 1, 1.0f, false, false}, {5, 1, 1, 1, false, true},
        {7, 10, 1, 1024, false, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        one_loss(s, &cases[i], 7100 + i);
    loss_differences(s, ref);
}

/* --- batch */

static void one_batch(subject *s, tensor_layout layout, dims d, bool by_index) {
    ls_error error = {0};
    enum { SOURCE = 11 };
    static const int64_t picks[] = {10, 0, 3, 3, 9, 1, 7};
    size_t image = (size_t)d.height * (size_t)d.width * (size_t)d.channels;
    uint8_t *images = malloc(SOURCE * image);
    int32_t labels[SOURCE], got_labels[8];
    for (size_t i = 0; i < SOURCE * image; i++)
        images[i] = (uint8_t)(i * 131 + i / 251);
    images[0] = 0, images[1] = 255;
    for (int i = 0; i < SOURCE; i++)
        labels[i] = (i * 5 + 2) % 10;
    array device_images = array_of(s, images, SOURCE * image);
    array device_labels = array_of(s, labels, sizeof labels);
    array order = array_of(s, picks, sizeof picks);
    array out = tensor_new(s, layout, d), out_labels = array_new(s, (size_t)d.n * sizeof(int32_t));
    batch_arguments arguments = {.images = device_images.memory,
                                 .labels = device_labels.memory,
                                 .order = by_index ? order.memory : NULL,
                                 .count = d.n,
                                 .height = d.height,
                                 .width = d.width,
                                 .channels = d.channels,
                                 .layout = layout,
                                 .type = DTYPE_F32,
                                 .scale = 2.0f / 255,
                                 .shift = -1,
                                 .out = out.memory,
                                 .out_labels = out_labels.memory};
    must(s->ops->make_batch(s->device, s->stream, &arguments, &error), &error);
    float *got = tensor_get(s, layout, d, &out), *want = floats(dims_count(d));
    array_get(s, &out_labels, got_labels);
    for (int n = 0; n < d.n; n++) {
        size_t source = by_index ? (size_t)picks[n] : (size_t)n;
        for (size_t i = 0; i < image; i++)
            want[(size_t)n * image + i] =
                (float)((double)images[source * image + i] * (double)arguments.scale - 1);
        expect(got_labels[n] == labels[source], "label %d is %d, expected %d", n, got_labels[n],
               labels[source]);
    }
    /* A product of up to 2 and a sum of up to 1, each rounded or fused. */
    expect_close("batch", got, want, dims_count(d), 0x1p-22);
    array *all[] = {&device_images, &device_labels, &order, &out, &out_labels};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        array_free(s, all[i]);
    free(got), free(want), free(images);
    case_done("%s make_batch [%d,%d,%d,%d] %s%s, %d thread(s)", s->name, d.n, d.height, d.width,
              d.channels, layout_name(layout), by_index ? " by index" : "", s->threads);
}

void test_batch(subject *s) {
    static const dims cases[] = {{7, 5, 3, 3}, {1, 32, 32, 3}, {3, 7, 4, 16},
                                 {7, 3, 3, 5}, {2, 9, 2, 1},   {3, 4, 5, 32}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int layout = 0; layout < 3; layout++) {
            if (layout == LAYOUT_NCHW16C && cases[i].channels % 16 != 0)
                continue; /* devices need not pad */
            one_batch(s, (tensor_layout)layout, cases[i], false);
            one_batch(s, (tensor_layout)layout, cases[i], true);
        }
}
