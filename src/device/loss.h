/* What the loss's step op reads and writes. All pointers are device memory. C and C++: kernels
 * include it. */
#ifndef LOCKSTEP_DEVICE_LOSS_H
#define LOCKSTEP_DEVICE_LOSS_H

#include "base/dtype.h"
#include "device/step_state.h"

typedef struct loss_arguments {
    int n, classes;
    dtype type;
    const void *logits;    /* [n, classes] */
    const int32_t *labels; /* [n]; one outside the classes is undefined: the reader checks them */
    /* The target is 1 - smoothing at the label and smoothing / classes more at every class (Szegedy
     * et al., "Rethinking the Inception Architecture", CVPR 2016, section 7). 0: the label. */
    float smoothing;
    /* Of mixed samples: a target is weights[i] of this one and 1 - weights[i] of the other label's,
     * [n] both. NULL: none are mixed. What is counted as right is the sample's own label. */
    const int32_t *other_labels;
    const float *weights;
    float gradient_scale;
    const step_state *state; /* NULL: a loss scale of 1, and no step that totals could note */
    void *dlogits;           /* [n, classes]; NULL: evaluation */
    loss_totals *totals;
} loss_arguments;

#endif
