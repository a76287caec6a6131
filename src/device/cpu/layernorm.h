/* Layer normalisation's loops. A row is summed by LAYERNORM_LANES lanes, element i by lane i mod
 * that, which are then added up two by two: the same bits in every form. */
#ifndef LOCKSTEP_DEVICE_CPU_LAYERNORM_H
#define LOCKSTEP_DEVICE_CPU_LAYERNORM_H

#include "device/cpu/forms.h"
#include "device/kinds/layernorm.h"

enum { LAYERNORM_LANES = 32 };

typedef struct layernorm_job {
    layernorm_shape shape;
    const void *x, *dy;
    void *y, *dx; /* dx NULL: not wanted */
    const float *gamma, *beta;
    float *mean, *inverse; /* [rows]: forward writes them, backward reads them */
} layernorm_job;

/* Rows from `row` to `end`. */
void cpu_layernorm_forward(const layernorm_job *self, size_t row, size_t end);
/* Also partial[2][channels]: the sums over these rows that gamma's and beta's gradients are made
 * of. */
void cpu_layernorm_backward(const layernorm_job *self, size_t row, size_t end, float *partial);

#endif
