/* The inner loops of product.c: a tile of sums that stay in registers, and a transposition of as
 * many vectors as each has lanes. Inlined with constant sizes. */
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
    float *kept;       /* TILE_KEEPS: b's [depth][LANES * vectors], without gaps */
    const float *next; /* TILE_FETCHES: rows are b_next apart */
    size_t b_next;
} tile;

enum {
    TILE_ADDS = 1,    /* to what c holds */
    TILE_STREAMS = 2, /* c is written past the caches */
    TILE_KEEPS = 4,   /* b is copied to `kept`, and what comes next of it is fetched ahead */
    TILE_FETCHES = 8, /* meanwhile, one line for each k */
    TILE_PAIRS = 16,  /* only with AVX-512 and its bf16 */
    TILE_INTERLEAVES =
        32, /* b is a matrix of bf16 as it lies: two rows of it make a row of pairs */
    TILE_FETCHED_LINES = 16, /* of a row of `next`; half as many where TILE_PAIRS */
    TILE_MOST_ROWS = 12,
    TILE_MOST_VECTORS = CPU_REGISTERS / 8,
    TILE_FETCHED_AHEAD = 8 /* rows of b */
};

ALWAYS_INLINE void tile_interleave(const uint16_t *even, const uint16_t *odd, floats *to) {
    words low = __builtin_convertvector(*(const halves_there *)even, words);
    words high = __builtin_convertvector(*(const halves_there *)odd, words);
    *(words *)to = low | high << 16;
}

/* Vector v of b's row k. Kept, it has gone into `kept`, and a later row is fetched. */
ALWAYS_INLINE void tile_b(const int how, const tile *t, size_t k, int v, int vectors, floats *b) {
    const float *from = t->b + k * t->b_depth + LANES * v;
    if (how & TILE_INTERLEAVES) {
        const float *even = t->b + 2 * k * t->b_depth + LANES / 2 * v, *odd = even + t->b_depth;
        tile_interleave((const uint16_t *)even, (const uint16_t *)odd, b);
        __builtin_prefetch((v & 1 ? odd : even) + 2 * TILE_FETCHED_AHEAD * t->b_depth);
    } else {
        *b = *(const floats_there *)from;
    }
    if (how & TILE_KEEPS)
        *(floats_there *)(t->kept + (k * (size_t)vectors + (size_t)v) * LANES) = *b;
    if ((how & TILE_KEEPS) && !(how & TILE_INTERLEAVES))
        __builtin_prefetch(from + TILE_FETCHED_AHEAD * t->b_depth);
}

/* sum += a * b. */
#ifdef __AVX512F__
ALWAYS_INLINE void tile_add_product(const int how, floats *sum, const float *a, const floats *b) {
    if (how & TILE_PAIRS) {
        floats added = *sum; /* a variable of its own: the sums then stay in registers */
        __asm__("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(added) : "v"(*b), "m"(*a));
        *sum = added;
    } else {
        *sum += *a * *b;
    }
}
#else
ALWAYS_INLINE void tile_add_product(const int how, floats *sum, const float *a, const floats *b) {
    (void)how;
    *sum += *a * *b;
}
#endif

/* rows x vectors sums at once: 8 at least, that the units which add are never idle, 24 of 32
 * registers at most and 12 of 16. Each element is summed in the order of k, whatever the tile. */
ALWAYS_INLINE void tile_multiply(const int rows, const int vectors, const int how, const tile *t) {
    floats sums[TILE_MOST_ROWS][TILE_MOST_VECTORS], b[TILE_MOST_VECTORS];
    CPU_UNROLL(12)
    for (int i = 0; i < rows; i++) {
        CPU_UNROLL(4)
        for (int v = 0; v < vectors; v++) {
            sums[i][v] = (floats){0};
            if (how & TILE_ADDS)
                sums[i][v] = *(const floats_there *)(t->c + (size_t)i * t->c_row + LANES * v);
        }
    }
    const size_t lines = how & TILE_PAIRS ? TILE_FETCHED_LINES / 2 : TILE_FETCHED_LINES;
    for (size_t k = 0; k < t->depth; k++) {
        if (how & TILE_FETCHES)
            __builtin_prefetch(t->next + k / lines * t->b_next + k % lines * 16, 0, 2);
        CPU_UNROLL(4)
        for (int v = 0; v < vectors; v++)
            tile_b(how, t, k, v, vectors, &b[v]);
        CPU_UNROLL(12)
        for (int i = 0; i < rows; i++) {
            const float *a = t->a + (size_t)i * t->a_row + k * t->a_depth;
            CPU_UNROLL(4)
            for (int v = 0; v < vectors; v++)
                tile_add_product(how, &sums[i][v], a, &b[v]);
        }
    }
    CPU_UNROLL(12)
    for (int i = 0; i < rows; i++) {
        CPU_UNROLL(4)
        for (int v = 0; v < vectors; v++)
            put((how & TILE_STREAMS) != 0, t->c + (size_t)i * t->c_row + LANES * v, &sums[i][v]);
    }
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

/* Of two vectors, what stage `s` of a transposition makes: lane i of the lower and the upper one.
 */
#define TILE_LOWER(i, s)      ((i) & (s) ? LANES + (i) - (s) : (i))
#define TILE_UPPER(i, s)      ((i) & (s) ? LANES + (i) : (i) + (s))
#define TILE_LANES4(of, s, i) of((i), s), of((i) + 1, s), of((i) + 2, s), of((i) + 3, s)
#if CPU_LANES == 16
#define TILE_EACH_LANE(of, s)                                                                      \
    TILE_LANES4(of, s, 0), TILE_LANES4(of, s, 4), TILE_LANES4(of, s, 8), TILE_LANES4(of, s, 12)
#elif CPU_LANES == 8
#define TILE_EACH_LANE(of, s) TILE_LANES4(of, s, 0), TILE_LANES4(of, s, 4)
#else
#define TILE_EACH_LANE(of, s) TILE_LANES4(of, s, 0)
#endif
#ifdef __clang__
#define TILE_SHUFFLE(a, b, of, s) __builtin_shufflevector(a, b, TILE_EACH_LANE(of, s))
#else
#define TILE_SHUFFLE(a, b, of, s) __builtin_shuffle(a, b, (ints){TILE_EACH_LANE(of, s)})
#endif

#define TILE_STAGE(rows, s)                                                                        \
    CPU_UNROLL(16) for (int i_ = 0; i_ < LANES; i_++) if (!(i_ & (s))) {                           \
        floats a_ = rows[i_], b_ = rows[i_ + (s)];                                                 \
        rows[i_] = TILE_SHUFFLE(a_, b_, TILE_LOWER, s);                                            \
        rows[i_ + (s)] = TILE_SHUFFLE(a_, b_, TILE_UPPER, s);                                      \
    }

#if CPU_LANES == 16
#define TILE_STAGES(rows)                                                                          \
    TILE_STAGE(rows, 1) TILE_STAGE(rows, 2) TILE_STAGE(rows, 4) TILE_STAGE(rows, 8)
#elif CPU_LANES == 8
#define TILE_STAGES(rows) TILE_STAGE(rows, 1) TILE_STAGE(rows, 2) TILE_STAGE(rows, 4)
#else
#define TILE_STAGES(rows) TILE_STAGE(rows, 1) TILE_STAGE(rows, 2)
#endif

/* to[k][i] = from[i][k], LANES x LANES: pairs of rows that are 1, 2, 4, 8 apart exchange halves of
 * blocks of that many (J. O. Eklundh, A Fast Computer Method for Matrix Transposing, IEEE Trans.
 * Computers C-21, 1972). */
ALWAYS_INLINE void tile_transpose(const float *from, size_t from_row, float *to, size_t to_row) {
    floats rows[LANES];
    CPU_UNROLL(16)
    for (int i = 0; i < LANES; i++)
        rows[i] = *(const floats_there *)(from + (size_t)i * from_row);
    TILE_STAGES(rows)
    CPU_UNROLL(16)
    for (int i = 0; i < LANES; i++)
        *(floats_there *)(to + (size_t)i * to_row) = rows[i];
}

#endif
