/* Element types of device memory and of collectives. */
#ifndef LOCKSTEP_BASE_DTYPE_H
#define LOCKSTEP_BASE_DTYPE_H

#include <stddef.h>

typedef enum { DTYPE_F32, DTYPE_BF16, DTYPE_F16, DTYPE_F64, DTYPE_U8, DTYPE_I32, DTYPE_I64 } dtype;

static inline size_t dtype_bytes(dtype type) {
    static const size_t bytes[] = {4, 2, 2, 8, 1, 4, 8};
    return bytes[type];
}

static inline const char *dtype_name(dtype type) {
    static const char *const names[] = {"fp32", "bf16", "fp16", "fp64", "uint8", "int32", "int64"};
    return names[type];
}

#endif
