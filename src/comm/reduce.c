#include "comm/reduce.h"
#include "base/float16.h"
#include "base/vectorised.h"

#include <stdint.h>

bool reduce_supports(dtype type) {
    return type != DTYPE_F16;
}

/* One plain loop a type and operation, of which the compiler makes vectors: the memory of another
 * core is read twice as fast by wide ones. `into` may be `one`: no element depends on another. */
#define LOOP(result) _Pragma("GCC ivdep") for (size_t i = 0; i < count; i++) into[i] = (result)

#define REDUCE(name, element)                                                                      \
    VECTORISED static void reduce_##name(element *into, const element *one, const element *other,  \
                                         size_t count, reduction how) {                            \
        if (how == REDUCTION_SUM)                                                                  \
            LOOP((element)(one[i] + other[i]));                                                    \
        else if (how == REDUCTION_MAX)                                                             \
            LOOP(other[i] > one[i] ? other[i] : one[i]);                                           \
        else                                                                                       \
            LOOP(other[i] < one[i] ? other[i] : one[i]);                                           \
    }

REDUCE(f32, float)
REDUCE(f64, double)
REDUCE(u8, uint8_t)
REDUCE(i32, int32_t)
REDUCE(i64, int64_t)

/* Computed in fp32, rounded once. */
VECTORISED static void reduce_bf16(uint16_t *into, const uint16_t *one, const uint16_t *other,
                                   size_t count, reduction how) {
    _Pragma("GCC ivdep") for (size_t i = 0; i < count; i++) {
        float a = bf16_to_float(one[i]), b = bf16_to_float(other[i]);
        float larger = b > a ? b : a, smaller = b < a ? b : a;
        into[i] = bf16_of_float(how == REDUCTION_SUM   ? a + b
                                : how == REDUCTION_MAX ? larger
                                                       : smaller);
    }
}

void reduce_two(void *into, const void *one, const void *other, size_t count, dtype type,
                reduction how) {
    switch (type) {
    case DTYPE_F32:
        reduce_f32(into, one, other, count, how);
        break;
    case DTYPE_F64:
        reduce_f64(into, one, other, count, how);
        break;
    case DTYPE_U8:
        reduce_u8(into, one, other, count, how);
        break;
    case DTYPE_I32:
        reduce_i32(into, one, other, count, how);
        break;
    case DTYPE_I64:
        reduce_i64(into, one, other, count, how);
        break;
    case DTYPE_BF16:
        reduce_bf16(into, one, other, count, how);
        break;
    case DTYPE_F16:
        break; /* refused before */
    }
}

void reduce_into(void *into, const void *from, size_t count, dtype type, reduction how) {
    reduce_two(into, into, from, count, type, how);
}
