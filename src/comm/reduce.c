#include "comm/reduce.h"

#include <stdint.h>

bool reduce_supports(dtype type) {
    return type != DTYPE_BF16 && type != DTYPE_F16;
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
    case DTYPE_F16:
        break; /* refused before */
    }
}
