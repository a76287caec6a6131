/* Precisions of a run: the type of activations and of the low-precision weight copies, and how
 * matrix products round their factors. Parameters, their gradients and the optimizer's state are
 * fp32 in all of them. */
#ifndef LOCKSTEP_BASE_PRECISION_H
#define LOCKSTEP_BASE_PRECISION_H

#include "base/dtype.h"

#include <stdbool.h>
#include <string.h>

typedef enum {
    PRECISION_FP32,
    PRECISION_TF32, /* fp32 in memory; products round their factors to 10 bits of mantissa */
    PRECISION_BF16,
    PRECISION_FP16, /* with dynamic loss scaling */
    PRECISION_COUNT
} precision;

#define PRECISION_CHOICES "fp32|tf32|bf16|fp16"

static inline const char *precision_name(precision self) {
    static const char *const names[] = {"fp32", "tf32", "bf16", "fp16"};
    return names[self];
}

/* Of a name in PRECISION_CHOICES (the option table has checked it). */
static inline precision precision_of(const char *name) {
    int found = PRECISION_FP32;
    for (int index = 0; index < PRECISION_COUNT; index++)
        if (strcmp(precision_name((precision)index), name) == 0)
            found = index;
    return (precision)found;
}

/* Of activations and their gradients. */
static inline dtype precision_type(precision self) {
    return self == PRECISION_BF16 ? DTYPE_BF16 : self == PRECISION_FP16 ? DTYPE_F16 : DTYPE_F32;
}

#endif
