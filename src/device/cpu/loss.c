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

typedef struct loss_row {
    dtype type;
    int classes;
    const void *logits;
    void *gradient; /* may be NULL */
    size_t first;   /* the row's first element of both */
} loss_row;

static void one_row(const loss_row *row, int32_t label, double scale, loss_totals *totals) {
    const void *logits = row->logits;
    size_t best = row->first, end = row->first + (size_t)row->classes;
    size_t wanted = row->first + (size_t)label;
    for (size_t i = row->first + 1; i < end; i++)
        if (load(row->type, logits, i) > load(row->type, logits, best))
            best = i;
    double largest = load(row->type, logits, best), sum = 0;
    for (size_t i = row->first; i < end; i++)
        sum += exp((double)load(row->type, logits, i) - largest);
    totals->loss_sum += log(sum) + largest - (double)load(row->type, logits, wanted);
    totals->correct += best == wanted;
    totals->samples++;
    if (!row->gradient)
        return;
    for (size_t i = row->first; i < end; i++) {
        double probability = exp((double)load(row->type, logits, i) - largest) / sum;
        store(row->type, row->gradient, i, (probability - (i == wanted)) * scale);
    }
}

int cpu_softmax_cross_entropy(device *self, device_stream *stream, int n, int classes, dtype type,
                              const void *logits, const int32_t *labels, float gradient_scale,
                              const step_state *state, void *dlogits, loss_totals *totals,
                              ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(cpu_check_type("softmax_cross_entropy", type, error));
    double scale = (double)gradient_scale * (state ? (double)state->loss_scale : 1);
    for (int sample = 0; sample < n; sample++) {
        loss_row row = {type, classes, logits, dlogits, (size_t)sample * (size_t)classes};
        one_row(&row, labels[sample], scale, totals);
    }
    return LS_OK;
}
