/* Softmax, cross-entropy, its gradient and the accuracy count, one row a sample. Small (n x
 * classes), so the sums are in double and one thread does it: the same bits for any threads. */
#include "base/float16.h"
#include "device/cpu/cpu.h"

#include <math.h>

static float load(dtype type, const void *array, size_t index) {
    return type == DTYPE_BF16 ? bf16_to_float(((const uint16_t *)array)[index])
                              : ((const float *)array)[index];
}

static void store(dtype type, void *array, size_t index, double value) {
    if (type == DTYPE_BF16)
        ((uint16_t *)array)[index] = bf16_of_float(float_odd_of_double(value));
    else
        ((float *)array)[index] = (float)value;
}

/* One sample's logits and gradient, the first element of both being number `first`. */
typedef struct loss_row {
    const loss_arguments *of;
    size_t first;
} loss_row;

static double logit(const loss_row *row, size_t class) {
    return (double)load(row->of->type, row->of->logits, row->first + class);
}

/* How many classes come before `label` by their logits. */
static size_t place_of(const loss_row *row, size_t label) {
    double own = logit(row, label);
    size_t before = 0;
    for (size_t c = 0; c < (size_t)row->of->classes; c++) {
        double other = logit(row, c);
        before += other > own || (other == own && c < label);
    }
    return before;
}

static double mean_logit(const loss_row *row) {
    double sum = 0;
    for (size_t c = 0; c < (size_t)row->of->classes; c++)
        sum += logit(row, c);
    return sum / (double)row->of->classes;
}

/* A sample's labels, and what its own is worth in the target. */
typedef struct loss_labels {
    size_t own, other;
    double weight;
} loss_labels;

static loss_labels labels_of(const loss_arguments *a, int sample) {
    size_t own = (size_t)a->labels[sample];
    if (!a->other_labels)
        return (loss_labels){own, own, 1};
    return (loss_labels){own, (size_t)a->other_labels[sample], (double)a->weights[sample]};
}

static double of_labels(const loss_labels *labels, double own, double other) {
    return labels->weight == 1 ? own : labels->weight * own + (1 - labels->weight) * other;
}

static void one_row(const loss_row *row, const loss_labels *labels, double scale,
                    loss_totals *totals) {
    const loss_arguments *a = row->of;
    size_t label = labels->own;
    size_t best = 0, classes = (size_t)a->classes;
    for (size_t c = 1; c < classes; c++)
        if (logit(row, c) > logit(row, best))
            best = c;
    double largest = logit(row, best), sum = 0, smoothing = (double)a->smoothing;
    for (size_t c = 0; c < classes; c++)
        sum += exp(logit(row, c) - largest);
    double wanted = of_labels(labels, logit(row, label), logit(row, labels->other));
    if (smoothing > 0)
        wanted = (1 - smoothing) * wanted + smoothing * mean_logit(row);
    totals->loss_sum += log(sum) + largest - wanted;
    totals->correct += best == label;
    totals->samples++;
    if (!a->dlogits) {
        totals->among_five += place_of(row, label) < LOSS_PLACES;
        return;
    }
    double elsewhere = smoothing / (double)classes;
    for (size_t c = 0; c < classes; c++) {
        double probability = exp(logit(row, c) - largest) / sum;
        double here = of_labels(labels, c == label, c == labels->other);
        double target = (1 - smoothing) * here + elsewhere;
        store(a->type, a->dlogits, row->first + c, (probability - target) * scale);
    }
}

int cpu_softmax_cross_entropy(device *self, device_stream *stream, const loss_arguments *a,
                              ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(cpu_check_type("softmax_cross_entropy", a->type, error));
    double scale = (double)a->gradient_scale * (a->state ? (double)a->state->loss_scale : 1);
    for (int sample = 0; sample < a->n; sample++) {
        loss_row row = {a, (size_t)sample * (size_t)a->classes};
        loss_labels labels = labels_of(a, sample);
        one_row(&row, &labels, scale, a->totals);
    }
    loss_totals_look(a->totals, a->state);
    return LS_OK;
}
