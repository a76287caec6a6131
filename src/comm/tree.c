#include "comm/tree.h"

#include "base/vectorised.h"
#include "device/ops.h"

#include <string.h>

enum { LEVELS = 12 }; /* of TREE_MOST_LEAVES above fours */

bool tree_supports(dtype type) {
    return type == DTYPE_F32 || type == DTYPE_F64;
}

/* Of more than one leaf: the largest power of two below their number. */
static int first_half(int count) {
    int half = 1;
    while (2 * half < count)
        half *= 2;
    return half;
}

/* No element depends on another, so `out` may be any of the two or four. */
#define TREE(name, element)                                                                        \
    VECTORISED static void two_##name(element *out, const element *a, const element *b,            \
                                      size_t length) {                                             \
        INDEPENDENT for (size_t i = 0; i < length; i++) out[i] = a[i] + b[i];                      \
    }                                                                                              \
    VECTORISED static void four_##name(element *out, const element *a, const element *b,           \
                                       const element *c, const element *d, size_t length) {        \
        INDEPENDENT for (size_t i = 0; i < length; i++) out[i] = (a[i] + b[i]) + (c[i] + d[i]);    \
    }                                                                                              \
    static void sum_##name(element *out, const element *const *leaves, int count, size_t length,   \
                           element(*scratch)[TREE_PIECE_BYTES / sizeof(element)]) {                \
        if (count == 1 && out != leaves[0])                                                        \
            memcpy(out, leaves[0], length * sizeof *out);                                          \
        if (count == 2)                                                                            \
            two_##name(out, leaves[0], leaves[1], length);                                         \
        if (count == 4)                                                                            \
            four_##name(out, leaves[0], leaves[1], leaves[2], leaves[3], length);                  \
        if (count <= 2 || count == 4)                                                              \
            return;                                                                                \
        int half = first_half(count);                                                              \
        sum_##name(out, leaves, half, length, scratch);                                            \
        sum_##name(scratch[0], leaves + half, count - half, length, scratch + 1);                  \
        two_##name(out, out, scratch[0], length);                                                  \
    }

TREE(f32, float)
TREE(f64, double)

void tree_sum_piece(void *out, const void *const *leaves, int count, size_t length, dtype type) {
    _Alignas(64) char scratch[LEVELS][TREE_PIECE_BYTES];
    if (type == DTYPE_F32)
        sum_f32(out, (const float *const *)leaves, count, length, (void *)scratch);
    else
        sum_f64(out, (const double *const *)leaves, count, length, (void *)scratch);
}

static void sum_row_piece(char *rows, int count, size_t stride_bytes, size_t length, dtype type) {
    const void *leaves[count];
    for (int row = 0; row < count; row++)
        leaves[row] = rows + (size_t)row * stride_bytes;
    tree_sum_piece(rows, leaves, count, length, type);
}

void tree_sum_rows(void *rows, int count, size_t stride, size_t length, dtype type) {
    size_t element = dtype_bytes(type), step = TREE_PIECE_BYTES / element;
    if (count == 1)
        return;
#pragma omp parallel for schedule(static)
    for (size_t at = 0; at < length; at += step)
        sum_row_piece((char *)rows + at * element, count, stride * element,
                      length - at < step ? length - at : step, type);
}

int tree_sum_rows_on(device *device, device_stream *stream, void *rows, int count, size_t stride,
                     size_t length, ls_error *error) {
    float *values = rows;
    if (device->facts.host_addressable) {
        tree_sum_rows(rows, count, stride, length, DTYPE_F32);
        return LS_OK;
    }
    for (int step = 1; step < count && length > 0; step *= 2)
        for (int row = 0; row + step < count; row += 2 * step)
            LS_TRY(device->is->ops->add(device, stream, length, DTYPE_F32,
                                        values + (size_t)(row + step) * stride,
                                        values + (size_t)row * stride, error));
    return LS_OK;
}
