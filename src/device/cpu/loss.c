/* Softmax, cross-entropy, its gradient and the accuracy count, one row a sample. Small (n x
 * classes), so the sums are in double and one thread does it: the same bits for any threads. */
#include "device/cpu/cpu.h"

#include <math.h>

static void one_row(const float *logits, int32_t label, int classes, double scale, float *gradient,
                    loss_totals *totals) {
    int best = 0;
    for (int class = 1; class < classes; class ++)
        if (logits[class] > logits[best])
            best = class;
    double largest = logits[best], sum = 0;
    for (int class = 0; class < classes; class ++)
        sum += exp((double)logits[class] - largest);
    totals->loss_sum += log(sum) + largest - (double)logits[label];
    totals->correct += best == label;
    totals->samples++;
    if (!gradient)
        return;
    for (int class = 0; class < classes; class ++) {
        double probability = exp((double)logits[class] - largest) / sum;
        gradient[class] = (float)((probability - (class == label)) * scale);
    }
}

int cpu_softmax_cross_entropy(device *self, device_stream *stream, int n, int classes, dtype type,
                              const void *logits, const int32_t *labels, float gradient_scale,
                              const step_state *state, void *dlogits, loss_totals *totals,
                              ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(cpu_check_type("softmax_cross_entropy", type, error));
    double scale = (double)gradient_scale * (state ? (double)state->loss_scale : 1);
    for (int row = 0; row < n; row++) {
        size_t offset = (size_t)row * (size_t)classes;
        one_row((const float *)logits + offset, labels[row], classes, scale,
                dlogits ? (float *)dlogits + offset : NULL, totals);
    }
    return LS_OK;
}
