#include "comm/reduce.h"
#include "base/float16.h"

#include <stdint.h>

bool reduce_supports(dtype type) {
    return type != DTYPE_F16;
}

/* One plain loop a type and operation, so that the compiler makes vectors of it. */
#define REDUCE(name, element)                                                                      \
    static void reduce_##name(element *restrict into, const element *restrict from, size_t count,  \
                              reduction how) {                                                     \
        if (how == REDUCTION_SUM)                                                                  \
            for (size_t i = 0; i < count; i++)                                                     \
                into[i] = (element)(into[i] + from[i]);                                            \
        else if (how == REDUCTION_MAX)                                                             \
            for (size_t i = 0; i < count; i++)                                                     \
                into[i] = from[i] > into[i] ? from[i] : into[i];                                   \
        else                                                                                       \
            for (size_t i = 0; i < count; i++)                                                     \
                into[i] = from[i] < into[i] ? from[i] : into[i];                                   \
    }

REDUCE(f32, float)
REDUCE(f64, double)
REDUCE(u8, uint8_t)
REDUCE(i32, int32_t)
REDUCE(i64, int64_t)

/* Computed in fp32, rounded once. */
static void reduce_bf16(uint16_t *restrict into, const uint16_t *restrict from, size_t count,
                        reduction how) {
    for (size_t i = 0; i < count; i++) {
        float a = bf16_to_float(into[i]), b = bf16_to_float(from[i]);
        float larger = b > a ? b : a, smaller = b < a ? b : a;
        into[i] = bf16_of_float(how == REDUCTION_SUM   ? a + b
                                : how == REDUCTION_MAX ? larger
                                                       : smaller);
    }
}

void reduce_into(void *into, const void *from, size_t count, dtype type, reduction how) {
    switch (type) {
    case DTYPE_F32:
        reduce_f32(into, from, count, how);
        break;
    case DTYPE_F64:
        reduce_f64(into, from, count, how);
        break;
    case DTYPE_U8:
        reduce_u8(into, from, count, how);
        break;
    case DTYPE_I32:
        reduce_i32(into, from, count, how);
        break;
    case DTYPE_I64:
        reduce_i64(into, from, count, how);
        break;
    case DTYPE_BF16:
        reduce_bf16(into, from, count, how);
        break;
    case DTYPE_F16:
        break; /* refused before */
    }
}
