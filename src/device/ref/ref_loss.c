/* Softmax cross-entropy: loss = log(sum of exp(z)) - z[label]. The largest logit is taken off
 * first, so that no exponential overflows and the sum is at least 1. */
#include "device/ref/ref.h"

#include <math.h>

/* The lowest index of the largest logit. */
static int argmax(const float *logits, int classes) {
    int best = 0;
    for (int c = 1; c < classes; c++)
        if (logits[c] > logits[best])
            best = c;
    return best;
}

int ref_softmax_cross_entropy(device *self, device_stream *stream, int n, int classes, dtype type,
                              const void *logits, const int32_t *labels, float gradient_scale,
                              void *dlogits, loss_totals *totals, ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(ref_check_type("softmax_cross_entropy", type, error));
    for (int i = 0; i < n; i++) {
        const float *row = (const float *)logits + (size_t)i * (size_t)classes;
        int best = argmax(row, classes);
        double largest = (double)row[best], sum = 0;
        for (int c = 0; c < classes; c++)
            sum += exp((double)row[c] - largest);
        totals->loss_sum += log(sum) + largest - (double)row[labels[i]];
        totals->correct += best == labels[i];
        totals->samples += 1;
        if (!dlogits)
            continue;
        float *gradient = (float *)dlogits + (size_t)i * (size_t)classes;
        for (int c = 0; c < classes; c++) {
            double probability = exp((double)row[c] - largest) / sum;
            gradient[c] =
                (float)((probability - (c == labels[i] ? 1 : 0)) * (double)gradient_scale);
        }
    }
    return LS_OK;
}
