#include "comm/reduce.h"
#include "base/float16.h"
#include "base/vectorised.h"

#include <stdint.h>
#include <string.h>

bool reduce_supports(dtype type) {
    return type != DTYPE_F16;
}

/* One plain loop a type and operation, of which the compiler makes vectors: the memory of another
 * core is read twice as fast by wide ones. `into` may be `one`: no element depends on another. */
#define LOOP(result) INDEPENDENT for (size_t i = 0; i < count; i++) into[i] = (result)

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
static inline uint16_t bf16_reduced(uint16_t one, uint16_t other, reduction how) {
    float a = bf16_to_float(one), b = bf16_to_float(other);
    if (how == REDUCTION_SUM)
        return bf16_of_float(a + b);
    return bf16_of_float((how == REDUCTION_MAX ? b > a : b < a) ? b : a);
}

/* Two at a time in a word: elements of 16 bits that vectors widen and narrow one by one take three
 * times as long. */
static inline __attribute__((always_inline)) void reduce_words(uint16_t *into, const uint16_t *one,
                                                               const uint16_t *other, size_t count,
                                                               reduction how) {
    INDEPENDENT for (size_t at = 0; at + 1 < count; at += 2) {
        uint32_t x, y, out;
        memcpy(&x, one + at, sizeof x);
        memcpy(&y, other + at, sizeof y);
        out = bf16_reduced((uint16_t)x, (uint16_t)y, how);
        out |= (uint32_t)bf16_reduced((uint16_t)(x >> 16), (uint16_t)(y >> 16), how) << 16;
        memcpy(into + at, &out, sizeof out);
    }
    if (count % 2)
        into[count - 1] = bf16_reduced(one[count - 1], other[count - 1], how);
}

VECTORISED static void reduce_bf16(uint16_t *into, const uint16_t *one, const uint16_t *other,
                                   size_t count, reduction how) {
    if (how == REDUCTION_SUM)
        reduce_words(into, one, other, count, REDUCTION_SUM);
    else if (how == REDUCTION_MAX)
        reduce_words(into, one, other, count, REDUCTION_MAX);
    else
        reduce_words(into, one, other, count, REDUCTION_MIN);
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
