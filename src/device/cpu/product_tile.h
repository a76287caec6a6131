/* The inner loops of product.c: a tile of sums that stay in registers, and a transposition of 16 x
 * 16 values. For functions marked WIDE_VECTORS; inlined with constant sizes. */
#ifndef LOCKSTEP_DEVICE_CPU_PRODUCT_TILE_H
#define LOCKSTEP_DEVICE_CPU_PRODUCT_TILE_H

#include "device/cpu/stream.h"

#include <stddef.h>

/* c[i][j] = sum over k < depth of a[i][k] * b[k][j]. Strides in words of 32 bits; a's are free, so
 * that it may lie either way; j is contiguous in b and c. A word of a and b is a value of fp32, or
 * (TILE_PAIRS) two of bf16 that follow each other along k: two products are then added at once. */
typedef struct tile {
    const float *a, *b;
    float *c;
    size_t a_row, a_depth, b_depth, c_row, depth;
    float *kept;       /* TILE_KEEPS: b's [depth][16 * vectors], without gaps */
    const float *next; /* TILE_FETCHES: rows are b_next apart */
    size_t b_next;
} tile;

enum {
    TILE_ADDS = 1,    /* to what c holds */
    TILE_STREAMS = 2, /* c is written past the caches */
    TILE_KEEPS = 4,   /* b is copied to `kept`, and what comes next of it is fetched ahead */
    TILE_FETCHES = 8, /* meanwhile, one line for each k */
    TILE_PAIRS = 16,  /* only where has_wide_pairs() */
    TILE_INTERLEAVES =
        32, /* b is a matrix of bf16 as it lies: two rows of it make a row of pairs */
    TILE_FETCHED_LINES = 16, /* of a row of `next`; half as many where TILE_PAIRS */
    TILE_MOST_ROWS = 12,
    TILE_MOST_VECTORS = 4,
    TILE_FETCHED_AHEAD = 8 /* rows of b */
};

ALWAYS_INLINE void tile_interleave(const uint16_t *even, const uint16_t *odd, floats16 *to) {
    words16 low = __builtin_convertvector(*(const halves16 *)even, words16);
    words16 high = __builtin_convertvector(*(const halves16 *)odd, words16);
    *(words16 *)to = low | high << 16;
}

/* Vector v of b's row k. Kept, it has gone into `kept`, and a later row is fetched. */
ALWAYS_INLINE void tile_b(const int how, const tile *t, size_t k, int v, int vectors, floats16 *b) {
    const float *from = t->b + k * t->b_depth + 16 * v;
    if (how & TILE_INTERLEAVES) {
        const float *even = t->b + 2 * k * t->b_depth + 8 * v, *odd = even + t->b_depth;
        tile_interleave((const uint16_t *)even, (const uint16_t *)odd, b);
        __builtin_prefetch((v & 1 ? odd : even) + 2 * TILE_FETCHED_AHEAD * t->b_depth);
    } else {
        *b = *(const floats16 *)from;
    }
    if (how & TILE_KEEPS)
        *(floats16 *)(t->kept + (k * (size_t)vectors + (size_t)v) * 16) = *b;
    if ((how & TILE_KEEPS) && !(how & TILE_INTERLEAVES))
        __builtin_prefetch(from + TILE_FETCHED_AHEAD * t->b_depth);
}

/* sum += a * b. */
ALWAYS_INLINE void tile_add_product(const int how, floats16 *sum, const float *a,
                                    const floats16 *b) {
#ifdef __x86_64__
    if (how & TILE_PAIRS) {
        floats16 added = *sum; /* a variable of its own: the sums then stay in registers */
        __asm__("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(added) : "v"(*b), "m"(*a));
        *sum = added;
        return;
    }
#endif
    *sum += *a * *b;
}

/* A line at once, where it goes past the caches: in quarters it would first go through the stack.
 */
ALWAYS_INLINE void tile_store(const int how, float *to, const floats16 *sum) {
    floats16 *line = (floats16 *)to;
#ifdef __x86_64__
    if (how & TILE_STREAMS) {
        floats16 value = *sum;
        __asm__("vmovntps %1, %0" : "=m"(*line) : "v"(value));
        return;
    }
#endif
    *line = *sum;
}

/* rows x vectors sums at once: 8 at least, that the units which add are never idle, 24 at most, for
 * there are 32 registers. Each element is summed in the order of k, whatever the tile. */
ALWAYS_INLINE void tile_multiply(const int rows, const int vectors, const int how, const tile *t) {
    floats16 sums[TILE_MOST_ROWS][TILE_MOST_VECTORS], b[TILE_MOST_VECTORS];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sums[i][v] = how & TILE_ADDS ? *(const floats16 *)(t->c + (size_t)i * t->c_row + 16 * v)
                                         : (floats16){0};
    const size_t lines = how & TILE_PAIRS ? TILE_FETCHED_LINES / 2 : TILE_FETCHED_LINES;
    for (size_t k = 0; k < t->depth; k++) {
        if (how & TILE_FETCHES)
            __builtin_prefetch(t->next + k / lines * t->b_next + k % lines * 16, 0, 2);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            tile_b(how, t, k, v, vectors, &b[v]);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            const float *a = t->a + (size_t)i * t->a_row + k * t->a_depth;
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                tile_add_product(how, &sums[i][v], a, &b[v]);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            tile_store(how, t->c + (size_t)i * t->c_row + 16 * v, &sums[i][v]);
}

/* `rows` rows in tiles of at most `most`, the last ones in fewer. */
ALWAYS_INLINE void tile_rows(const int most, const int vectors, const int how, tile t, int rows) {
    for (; rows > 0;) {
        int taken = rows >= most ? most : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
        if (taken == most)
            tile_multiply(most, vectors, how, &t);
        else if (taken == 4)
            tile_multiply(4, vectors, how, &t);
        else if (taken == 2)
            tile_multiply(2, vectors, how, &t);
        else
            tile_multiply(1, vectors, how, &t);
        t.a += (size_t)taken * t.a_row;
        t.c += (size_t)taken * t.c_row;
        rows -= taken;
    }
}

/* to[k][i] = from[i][k], 16 x 16: pairs of rows that are 1, 2, 4, 8 apart exchange halves of
 * blocks of that many (J. O. Eklundh, A Fast Computer Method for Matrix Transposing, IEEE Trans.
 * Computers C-21, 1972). */
ALWAYS_INLINE void tile_transpose(const float *from, size_t from_row, float *to, size_t to_row) {
    static const ints16 lower[4] = {{0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30},
                                    {0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29},
                                    {0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27},
                                    {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23}};
    floats16 rows[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        rows[i] = *(const floats16 *)(from + (size_t)i * from_row);
#pragma GCC unroll 4
    for (int stage = 0; stage < 4; stage++)
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++)
            if (!(i & 1 << stage)) {
                floats16 a = rows[i], b = rows[i + (1 << stage)];
                rows[i] = __builtin_shuffle(a, b, lower[stage]);
                rows[i + (1 << stage)] = __builtin_shuffle(a, b, lower[stage] + (1 << stage));
            }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        *(floats16 *)(to + (size_t)i * to_row) = rows[i];
}

#endif
