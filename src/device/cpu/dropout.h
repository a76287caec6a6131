/* The loop of dropout, a form each (forms.h). */
#ifndef LOCKSTEP_DEVICE_CPU_DROPOUT_H
#define LOCKSTEP_DEVICE_CPU_DROPOUT_H

#include "base/dtype.h"

#include <stddef.h>
#include <stdint.h>

/* Elements of one sample, fp32 or bf16: each times `scale`, or 0. */
typedef struct dropout_job {
    dtype type;
    const void *from;
    void *to;
    size_t count;
    float scale;
    /* Where least is over 0, element e is left out whose number, value e % 4 of block `block` + e /
     * 4 of (seed, RANDOM_DROPOUT, counter), is less. */
    uint32_t least;
    uint64_t seed, counter, block;
} dropout_job;

void cpu_drop_elements(const dropout_job *self);

#endif
