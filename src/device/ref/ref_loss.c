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

int ref_softmax_cross_entropy(device *self, device_stream *stream, int n, int classes, dtype type,
                              const void *logits, const int32_t *labels, float gradient_scale,
                              const step_state *state, void *dlogits, loss_totals *totals,
                              ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(ref_check_type("softmax_cross_entropy", type, error));
    double scale = (double)gradient_scale * (state ? (double)state->loss_scale : 1);
    for (int i = 0; i < n; i++) {
        ref_row row = {type, logits, (size_t)i * (size_t)classes, classes};
        int best = argmax(&row);
        double largest = logit(&row, best), sum = 0;
        for (int c = 0; c < classes; c++)
            sum += exp(logit(&row, c) - largest);
        totals->loss_sum += log(sum) + largest - logit(&row, labels[i]);
        totals->correct += best == labels[i];
        totals->samples += 1;
        for (int c = 0; dlogits && c < classes; c++) {
            double probability = exp(logit(&row, c) - largest) / sum;
            ref_store(type, dlogits, row.first + (size_t)c,
                      (probability - (c == labels[i] ? 1 : 0)) * scale);
        }
    }
    return LS_OK;
}
