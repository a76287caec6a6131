/* Softmax, cross-entropy in nats, its gradient and the number of right answers. */
#include "device/ref/ref.h"

#include <math.h>

/* A row of logits. */
typedef struct ref_row {
    dtype type;
    const void *logits;
    size_t first;
    int classes;
} ref_row;

static double logit(const ref_row *row, int class) {
    return ref_load(row->type, row->logits, row->first + (size_t) class);
}

/* The lowest index of the largest logit. */
static int argmax(const ref_row *row) {
    int best = 0;
    for (int c = 1; c < row->classes; c++)
        if (logit(row, c) > logit(row, best))
            best = c;
    return best;
}

/* How many classes come before `label` by their logits: 0, it is the answer. */
static int place_of(const ref_row *row, int label) {
    int before = 0;
    for (int c = 0; c < row->classes; c++)
        before +=
            logit(row, c) > logit(row, label) || (logit(row, c) == logit(row, label) && c < label);
    return before;
}

/* What sample i's target is at a class. */
static double target(const loss_arguments *a, int class, int i) {
    double smoothing = (double)a->smoothing, weight = a->weights ? (double)a->weights[i] : 1;
    double of_labels = class == a->labels[i] ? weight : 0;
    if (a->other_labels && class == a->other_labels[i])
        of_labels += 1 - weight;
    return (1 - smoothing) * of_labels + smoothing / (double)a->classes;
}

int ref_softmax_cross_entropy(device *self, device_stream *stream, const loss_arguments *a,
                              ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(ref_check_type("softmax_cross_entropy", a->type, error));
    double scale = (double)a->gradient_scale * (a->state ? (double)a->state->loss_scale : 1);
    for (int i = 0; i < a->n; i++) {
        ref_row row = {a->type, a->logits, (size_t)i * (size_t)a->classes, a->classes};
        int best = argmax(&row), label = a->labels[i];
        double largest = logit(&row, best), sum = 0, loss = 0;
        for (int c = 0; c < a->classes; c++)
            sum += exp(logit(&row, c) - largest);
        for (int c = 0; c < a->classes; c++)
            if (target(a, c, i) != 0)
                loss += target(a, c, i) * (log(sum) + largest - logit(&row, c));
        a->totals->loss_sum += loss;
        a->totals->correct += best == label;
        a->totals->samples += 1;
        if (!a->dlogits)
            a->totals->among_five += place_of(&row, label) < LOSS_PLACES;
        for (int c = 0; a->dlogits && c < a->classes; c++) {
            double probability = exp(logit(&row, c) - largest) / sum;
            ref_store(a->type, a->dlogits, row.first + (size_t)c,
                      (probability - target(a, c, i)) * scale);
        }
    }
    loss_totals_look(a->totals, a->state);
    return LS_OK;
}
