#include "device/cpu/tall.h"

#include "base/float16.h"
#include "device/cpu/product_tile.h"
#include "device/cpu/values.h"

#include <omp.h>

enum {
    PANEL = LANES * TILE_MOST_VECTORS,             /* columns of a tile */
    HEIGHT = 6,                                    /* its rows */
    TURNED = (HEIGHT + LANES - 1) / LANES * LANES, /* of them in whole vectors */
    TERMS = 16,                                    /* of a tile: so many times a number */
    FEW_ROWS = 256,                                /* product.h's */
    DEPTH = 768,          /* of a tile at most: [depth, PANEL] passes through a first-level cache */
    ROWS = 192,           /* of a block: [rows, depth] passes through a second-level cache */
    SPAN_WORDS = 1 << 22, /* of the right operand, copied at once */
    BLOCK_WORDS = ROWS * DEPTH + 16 /* of a thread: a block, and what is written behind its end */
};

bool cpu_tall_serves(const linear_shape *shape) {
    bool quick = shape->type == DTYPE_F32 ? LANES == 8 : LANES == 16;
    return quick && shape->n > FEW_ROWS && shape->in_features % PANEL == 0 &&
           shape->out_features % PANEL == 0;
}

/* c[rows][columns] = left * right, sums of `depth` terms. Strides in values: left's from row to
 * row, right's from column to column, of both from term to term. */
typedef struct product {
    bool bf16; /* left and right; else fp32 */
    const void *left, *right;
    const float *bias; /* [columns], or NULL */
    void *c;
    bool rounds; /* c is bf16; else fp32 */
    size_t rows, columns, depth;
    size_t left_row, left_term, right_column, right_term;
    bool positive; /* parts alone are stored */
    float *sums;   /* [rows] of the left operand's terms, where it is turned; or NULL */
} product;

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t rounded_up(size_t count, size_t whole) {
    return (count + whole - 1) / whole * whole;
}

/* Terms of a tile: as many in each, of so many in all. */
static size_t tile_depth(size_t depth) {
    size_t tiles = (depth + DEPTH - 1) / DEPTH;
    return rounded_up((depth + tiles - 1) / tiles, TERMS);
}

/* Terms whose part of the right operand is copied at once: whole tiles' depths; all of them where
 * sums are rounded, of which no part is kept. */
static size_t span_of(const product *p) {
    size_t each = tile_depth(p->depth), tiles = SPAN_WORDS / p->columns / each;
    return p->rounds ? p->depth : smaller(p->depth, each * (tiles ? tiles : 1));
}

static size_t span_words(const product *p) {
    return rounded_up(span_of(p) * p->columns, 16);
}

/* Of a thread: a block of the left operand, then a block's sums before they are rounded. */
static size_t own_words(const product *p) {
    size_t sums = p->depth > DEPTH ? ROWS * p->columns : HEIGHT * PANEL;
    return BLOCK_WORDS + (p->rounds ? sums : 0);
}

static size_t workspace_words(const product *p, int threads) {
    return span_words(p) + (size_t)threads * own_words(p);
}

/* to[i] = from's values from `at` on, a vector. */
ALWAYS_INLINE void copy_vector(bool bf16, const void *from, size_t at, float *to) {
    *(floats_there *)to = load_values(bf16, from, at, LANES);
}

/* to[k][i] = from[i][k], LANES x LANES from `at` on. */
ALWAYS_INLINE void transpose(bool bf16, const void *from, size_t at, size_t row, float *to) {
    if (!bf16) {
        tile_transpose((const float *)from + at, row, to, PANEL);
        return;
    }
    float lies[LANES * LANES];
    for (size_t i = 0; i < LANES; i++)
        copy_vector(true, from, at + i * row, lies + i * LANES);
    tile_transpose(lies, LANES, to, PANEL);
}

/* Columns `column` to column + PANEL of `depth` terms from `term` on: to[depth][PANEL]. */
ALWAYS_INLINE void copy_panel_of(bool bf16, const product *p, size_t column, size_t term,
                                 size_t depth, float *to) {
    size_t from = column * p->right_column + term * p->right_term;
    if (p->right_column == 1) {
        for (size_t k = 0; k < depth; k++)
            for (size_t v = 0; v < PANEL; v += LANES)
                copy_vector(bf16, p->right, from + k * p->right_term + v, to + k * PANEL + v);
        return;
    }
    for (size_t v = 0; v < PANEL; v += LANES)
        for (size_t k = 0; k < depth; k += LANES)
            transpose(bf16, p->right, from + v * p->right_column + k, p->right_column,
                      to + k * PANEL + v);
}

static void copy_panel(const product *p, size_t column, size_t term, size_t depth, float *to) {
    if (p->bf16)
        copy_panel_of(true, p, column, term, depth, to);
    else
        copy_panel_of(false, p, column, term, depth, to);
}

/* to[rows][depth] of rows whose terms are neighbours. */
ALWAYS_INLINE void copy_rows(bool bf16, const product *p, size_t row, size_t rows, size_t term,
                             size_t depth, float *to) {
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < depth; k += LANES)
            copy_vector(bf16, p->left, (row + i) * p->left_row + term + k, to + i * depth + k);
}

/* *sum += the values of a term's rows, which go to `to`. */
ALWAYS_INLINE void turn_term(bool bf16, const void *from, size_t at, float *to,
                             floats sum[TURNED / LANES]) {
    CPU_UNROLL(4)
    for (size_t v = 0; v < TURNED / LANES; v++) {
        floats value = load_values(bf16, from, at + v * LANES, LANES);
        *(floats_there *)(to + v * LANES) = value;
        sum[v] += value;
    }
}

/* to[depth][HEIGHT] of neighbouring rows, by whole vectors: what one has behind its tile, the next
 * one overwrites, or the next tile. sums: of the terms, and of what is behind the tile. */
ALWAYS_INLINE void turn_tile(bool bf16, const product *p, size_t from, size_t depth, float *to,
                             float sums[TURNED]) {
    floats even[TURNED / LANES] = {0}, odd[TURNED / LANES] = {0};
    size_t k = 0;
    for (; k + 2 <= depth; k += 2) {
        turn_term(bf16, p->left, from + k * p->left_term, to + k * HEIGHT, even);
        turn_term(bf16, p->left, from + (k + 1) * p->left_term, to + (k + 1) * HEIGHT, odd);
    }
    if (k < depth)
        turn_term(bf16, p->left, from + k * p->left_term, to + k * HEIGHT, even);
    for (size_t v = 0; v < TURNED / LANES; v++)
        *(floats_there *)(sums + v * LANES) = even[v] + odd[v];
}

/* The same of fewer rows, or where no whole vectors are. */
static void turn_part(const product *p, size_t from, size_t depth, size_t height, float *to,
                      float sums[TURNED]) {
    float sum[2][HEIGHT] = {{0}};
    for (size_t k = 0; k < depth; k++)
        for (size_t i = 0; i < height; i++) {
            size_t at = from + k * p->left_term + i;
            float value = p->bf16 ? bf16_to_float(((const uint16_t *)p->left)[at])
                                  : ((const float *)p->left)[at];
            to[k * HEIGHT + i] = value;
            sum[k % 2][i] += value;
        }
    for (size_t i = 0; i < height; i++)
        sums[i] = sum[0][i] + sum[1][i];
}

/* [tile][depth][HEIGHT]. */
ALWAYS_INLINE void turn_rows(bool bf16, const product *p, size_t row, size_t rows, size_t term,
                             size_t depth, float *to) {
    for (size_t end = row + rows; row < end; row += HEIGHT, to += depth * HEIGHT) {
        size_t from = row + term * p->left_term;
        size_t height = smaller(HEIGHT, end - row);
        float sums[TURNED];
        if (row + TURNED <= p->rows)
            turn_tile(bf16, p, from, depth, to, sums);
        else
            turn_part(p, from, depth, height, to, sums);
        for (size_t i = 0; p->sums && i < height; i++)
            p->sums[row + i] = (term ? p->sums[row + i] : 0) + sums[i];
    }
}

/* The block of the left operand that begins at a row, as its tiles want it. */
static void copy_block(const product *p, size_t row, size_t rows, size_t term, size_t depth,
                       float *to) {
    bool in_rows = p->left_term == 1;
    if (p->bf16 && in_rows)
        copy_rows(true, p, row, rows, term, depth, to);
    else if (p->bf16)
        turn_rows(true, p, row, rows, term, depth, to);
    else if (in_rows)
        copy_rows(false, p, row, rows, term, depth, to);
    else
        turn_rows(false, p, row, rows, term, depth, to);
}

/* Bias and sign of a tile whose sums are whole, into c's elements from `at` on. */
ALWAYS_INLINE void finish_tile(bool rounds, const product *p, const tile *t, size_t rows,
                               size_t column, size_t at) {
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < PANEL; v += LANES) {
            floats value = *(const floats_there *)(t->c + i * t->c_row + v);
            if (p->bias)
                value += *(const floats_there *)(p->bias + column + v);
            if (p->positive)
                value = (floats)((words)value & (words)(value > 0));
            store_values(rounds, false, p->c, at + i * p->columns + v, LANES, &value);
        }
}

static void finish(const product *p, const tile *t, size_t rows, size_t column, size_t at) {
    if (p->rounds)
        finish_tile(true, p, t, rows, column, at);
    else if (p->bias)
        finish_tile(false, p, t, rows, column, at);
}

static void whole_tile(bool adds, const tile *t) {
    if (adds)
        tile_multiply(HEIGHT, TILE_MOST_VECTORS, TILE_ADDS, t);
    else
        tile_multiply(HEIGHT, TILE_MOST_VECTORS, 0, t);
}

static void last_rows(bool adds, const tile *t, size_t rows) {
    if (adds)
        tile_rows(HEIGHT, TILE_MOST_VECTORS, TILE_ADDS, *t, (int)rows);
    else
        tile_rows(HEIGHT, TILE_MOST_VECTORS, 0, *t, (int)rows);
}

/* A block of rows, and terms of it, that were copied. */
typedef struct block {
    size_t row, rows, term, depth;
    const float *left, *right; /* right: [panels][depth][PANEL] */
    float *sums;               /* [rows][columns], where they are rounded later */
} block;

static void fetch(const float *c, size_t c_row) {
    for (size_t i = 0; i < HEIGHT; i++)
        __builtin_prefetch(c + i * c_row, 1, 3);
}

static void multiply_panel(const product *p, const block *b, size_t column) {
    bool in_rows = p->left_term == 1, adds = b->term > 0;
    bool whole = b->term + b->depth == p->depth, passes = p->rounds && whole && !adds;
    tile t = {.b = b->right + column * b->depth,
              .a_row = in_rows ? b->depth : 1,
              .a_depth = in_rows ? 1 : HEIGHT,
              .b_depth = PANEL,
              .c_row = passes ? PANEL : p->columns,
              .depth = b->depth};
    for (size_t i = 0; i < b->rows; i += HEIGHT) {
        size_t rows = smaller(HEIGHT, b->rows - i), at = (b->row + i) * p->columns + column;
        t.a = b->left + i * b->depth;
        if (passes) /* sums that are whole at once need no place of their own */
            t.c = b->sums;
        else
            t.c = p->rounds ? b->sums + i * p->columns + column : (float *)p->c + at;
        if (!p->rounds && i + 2 * HEIGHT <= b->rows)
            fetch(t.c + HEIGHT * p->columns, p->columns);
        if (rows == HEIGHT)
            whole_tile(adds, &t);
        else
            last_rows(adds, &t, rows);
        if (whole)
            finish(p, &t, rows, column, at);
    }
}

/* Rows `row` to `end` and the terms of a span, whose right operand was copied, a depth's part
 * behind the other. */
static void multiply_span(const product *p, size_t row, size_t end, size_t term, size_t span,
                          const float *right, float *left) {
    for (; row < end; row += ROWS)
        for (size_t at = 0, each = tile_depth(p->depth); at < span; at += each) {
            block b = {.row = row,
                       .rows = smaller(ROWS, end - row),
                       .term = term + at,
                       .depth = smaller(each, span - at),
                       .left = left,
                       .right = right + at * p->columns,
                       .sums = left + BLOCK_WORDS};
            copy_block(p, row, b.rows, b.term, b.depth, left);
            for (size_t column = 0; column < p->columns; column += PANEL)
                multiply_panel(p, &b, column);
        }
}

/* Rows are shared out evenly, in whole tiles. */
static size_t first_row(const product *p, int thread, int threads) {
    size_t tiles = (p->rows + HEIGHT - 1) / HEIGHT;
    return smaller(p->rows, tiles * (size_t)thread / (size_t)threads * HEIGHT);
}

static void multiply(const product *p, float *workspace) {
    size_t most = span_of(p), each = tile_depth(p->depth), own = own_words(p);
    float *lefts = workspace + span_words(p);
#pragma omp parallel
    {
        int thread = omp_get_thread_num(), threads = omp_get_num_threads();
        float *left = lefts + (size_t)thread * own;
        for (size_t term = 0; term < p->depth; term += most) {
            size_t span = smaller(most, p->depth - term);
#pragma omp for schedule(static)
            for (size_t column = 0; column < p->columns; column += PANEL)
                for (size_t at = 0; at < span; at += each) {
                    size_t depth = smaller(each, span - at);
                    copy_panel(p, column, term + at, depth,
                               workspace + at * p->columns + column * depth);
                }
            multiply_span(p, first_row(p, thread, threads), first_row(p, thread + 1, threads), term,
                          span, workspace, left);
#pragma omp barrier
        }
    }
}

/* The three products, but for where their operands lie. */

static product forward_of(const linear_shape *shape) {
    size_t in = (size_t)shape->in_features;
    return (product){.bf16 = shape->type == DTYPE_BF16,
                     .rounds = shape->type == DTYPE_BF16,
                     .rows = (size_t)shape->n,
                     .columns = (size_t)shape->out_features,
                     .depth = in,
                     .left_row = in,
                     .left_term = 1,
                     .right_column = in,
                     .right_term = 1,
                     .positive = shape->activation == ACTIVATION_RELU};
}

static product backward_data_of(const linear_shape *shape) {
    size_t in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    return (product){.bf16 = shape->type == DTYPE_BF16,
                     .rounds = shape->type == DTYPE_BF16,
                     .rows = (size_t)shape->n,
                     .columns = in,
                     .depth = out,
                     .left_row = out,
                     .left_term = 1,
                     .right_column = 1,
                     .right_term = in};
}

static product backward_weights_of(const linear_shape *shape) {
    size_t in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    return (product){.bf16 = shape->type == DTYPE_BF16,
                     .rows = out,
                     .columns = in,
                     .depth = (size_t)shape->n,
                     .left_row = 1,
                     .left_term = out,
                     .right_column = 1,
                     .right_term = in};
}

size_t cpu_tall_workspace_bytes(const linear_shape *shape, int threads) {
    const product products[] = {forward_of(shape), backward_data_of(shape),
                                backward_weights_of(shape)};
    size_t most = 0;
    for (int each = 0; each < 3; each++) {
        size_t words = workspace_words(&products[each], threads);
        most = words > most ? words : most;
    }
    return most * sizeof(float);
}

void cpu_tall_forward(const linear_shape *shape, const void *x, const void *weights,
                      const float *bias, void *y, void *workspace) {
    product p = forward_of(shape);
    p.left = x;
    p.right = weights;
    p.bias = bias;
    p.c = y;
    multiply(&p, workspace);
}

void cpu_tall_backward_data(const linear_shape *shape, const void *dy, const void *weights,
                            void *dx, void *workspace) {
    product p = backward_data_of(shape);
    p.left = dy;
    p.right = weights;
    p.c = dx;
    multiply(&p, workspace);
}

void cpu_tall_backward_weights(const linear_shape *shape, const void *x, const void *dy,
                               float *dweights, float *dbias, void *workspace) {
    product p = backward_weights_of(shape);
    p.left = dy;
    p.right = x;
    p.c = dweights;
    p.sums = dbias;
    multiply(&p, workspace);
}
