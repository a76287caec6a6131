#include "device/cpu/tall.h"

#include "device/cpu/product_tile.h"

#include <omp.h>
#include <string.h>

enum {
    PANEL = LANES * TILE_MOST_VECTORS,             /* columns of a tile */
    HEIGHT = 6,                                    /* its rows */
    TURNED = (HEIGHT + LANES - 1) / LANES * LANES, /* of them in whole vectors */
    FEATURES = 16,                                 /* come in so many: whole panels with AVX2 */
    FEW_ROWS = 256,                                /* product.h's */
    DEPTH = 768,          /* of a tile at most: [depth, PANEL] passes through a first-level cache */
    ROWS = 192,           /* of a block: [rows, depth] passes through a second-level cache */
    SPAN_WORDS = 1 << 22, /* of the right operand, copied at once */
    OWN_WORDS = ROWS * DEPTH + 16 /* of a thread: a block, and what is written behind its end */
};

bool cpu_tall_serves(const linear_shape *shape) {
    return LANES == 8 && shape->type == DTYPE_F32 && shape->n > FEW_ROWS &&
           shape->in_features % FEATURES == 0 && shape->out_features % FEATURES == 0;
}

/* c[rows][columns] = left * right, sums of `depth` terms. Strides in words: left's from row to row,
 * right's from column to column, of both from term to term. */
typedef struct product {
    const float *left, *right, *bias; /* bias: [columns], or NULL */
    float *c;
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
    return rounded_up((depth + tiles - 1) / tiles, FEATURES);
}

/* Terms whose part of the right operand is copied at once: whole tiles' depths. */
static size_t span_of(size_t depth, size_t columns) {
    size_t each = tile_depth(depth), tiles = SPAN_WORDS / columns / each;
    return smaller(depth, each * (tiles ? tiles : 1));
}

static size_t words_of(size_t depth, size_t columns) {
    return rounded_up(span_of(depth, columns) * columns, 16);
}

size_t cpu_tall_workspace_bytes(const linear_shape *shape, int threads) {
    size_t n = (size_t)shape->n, in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    const size_t spans[] = {words_of(in, out), words_of(out, in), words_of(n, in)};
    size_t most = 0;
    for (int each = 0; each < 3; each++)
        most = spans[each] > most ? spans[each] : most;
    return (most + (size_t)threads * OWN_WORDS) * sizeof(float);
}

/* Columns `column` to column + PANEL of `depth` terms from `term` on: to[depth][PANEL]. */
static void copy_panel(const product *p, size_t column, size_t term, size_t depth, float *to) {
    const float *from = p->right + column * p->right_column + term * p->right_term;
    if (p->right_column == 1) {
        for (size_t k = 0; k < depth; k++)
            for (size_t v = 0; v < PANEL; v += LANES)
                *(floats_there *)(to + k * PANEL + v) =
                    *(const floats_there *)(from + k * p->right_term + v);
        return;
    }
    for (size_t v = 0; v < PANEL; v += LANES)
        for (size_t k = 0; k < depth; k += LANES)
            tile_transpose(from + v * p->right_column + k, p->right_column, to + k * PANEL + v,
                           PANEL);
}

/* to[rows][depth] of rows whose terms are neighbours. */
static void copy_rows(const product *p, size_t row, size_t rows, size_t term, size_t depth,
                      float *to) {
    const float *from = p->left + row * p->left_row + term;
    for (size_t i = 0; i < rows; i++)
        memcpy(to + i * depth, from + i * p->left_row, depth * sizeof *to);
}

/* *sum += the values of a term's rows, which go to `to`. */
ALWAYS_INLINE void turn_term(const float *from, float *to, floats sum[TURNED / LANES]) {
    CPU_UNROLL(4)
    for (size_t v = 0; v < TURNED / LANES; v++) {
        floats value = *(const floats_there *)(from + v * LANES);
        *(floats_there *)(to + v * LANES) = value;
        sum[v] += value;
    }
}

/* to[depth][HEIGHT] of neighbouring rows, by whole vectors: what one has behind its tile, the next
 * one overwrites, or the next tile. sums: of the terms, and of what is behind the tile. */
static void turn_tile(const float *from, size_t left_term, size_t depth, float *to,
                      float sums[TURNED]) {
    floats even[TURNED / LANES] = {0}, odd[TURNED / LANES] = {0};
    size_t k = 0;
    for (; k + 2 <= depth; k += 2) {
        turn_term(from + k * left_term, to + k * HEIGHT, even);
        turn_term(from + (k + 1) * left_term, to + (k + 1) * HEIGHT, odd);
    }
    if (k < depth)
        turn_term(from + k * left_term, to + k * HEIGHT, even);
    for (size_t v = 0; v < TURNED / LANES; v++)
        *(floats_there *)(sums + v * LANES) = even[v] + odd[v];
}

/* The same of fewer rows, or where no whole vectors are. */
static void turn_part(const float *from, size_t left_term, size_t depth, size_t height, float *to,
                      float sums[TURNED]) {
    float sum[2][HEIGHT] = {{0}};
    for (size_t k = 0; k < depth; k++)
        for (size_t i = 0; i < height; i++) {
            to[k * HEIGHT + i] = from[k * left_term + i];
            sum[k % 2][i] += from[k * left_term + i];
        }
    for (size_t i = 0; i < height; i++)
        sums[i] = sum[0][i] + sum[1][i];
}

/* [tile][depth][HEIGHT]. */
static void turn_rows(const product *p, size_t row, size_t rows, size_t term, size_t depth,
                      float *to) {
    for (size_t end = row + rows; row < end; row += HEIGHT, to += depth * HEIGHT) {
        const float *from = p->left + row + term * p->left_term;
        size_t height = smaller(HEIGHT, end - row);
        float sums[TURNED];
        if (row + TURNED <= p->rows)
            turn_tile(from, p->left_term, depth, to, sums);
        else
            turn_part(from, p->left_term, depth, height, to, sums);
        for (size_t i = 0; p->sums && i < height; i++)
            p->sums[row + i] = (term ? p->sums[row + i] : 0) + sums[i];
    }
}

/* Bias and sign of a tile whose sums are whole. */
static void finish(const product *p, const tile *t, size_t rows, size_t column) {
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < PANEL; v += LANES) {
            floats_there *at = (floats_there *)(t->c + i * t->c_row + v);
            floats value = *at + *(const floats_there *)(p->bias + column + v);
            if (p->positive)
                value = (floats)((words)value & (words)(value > 0));
            *at = value;
        }
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
} block;

static void fetch(const float *c, size_t c_row) {
    for (size_t i = 0; i < HEIGHT; i++)
        __builtin_prefetch(c + i * c_row, 1, 3);
}

static void multiply_panel(const product *p, const block *b, size_t column) {
    bool in_rows = p->left_term == 1, adds = b->term > 0;
    bool whole = p->bias && b->term + b->depth == p->depth;
    tile t = {.b = b->right + column * b->depth,
              .a_row = in_rows ? b->depth : 1,
              .a_depth = in_rows ? 1 : HEIGHT,
              .b_depth = PANEL,
              .c_row = p->columns,
              .depth = b->depth};
    for (size_t i = 0; i < b->rows; i += HEIGHT) {
        size_t rows = smaller(HEIGHT, b->rows - i);
        t.a = b->left + i * b->depth;
        t.c = p->c + (b->row + i) * p->columns + column;
        if (i + 2 * HEIGHT <= b->rows)
            fetch(t.c + HEIGHT * p->columns, p->columns);
        if (rows == HEIGHT)
            whole_tile(adds, &t);
        else
            last_rows(adds, &t, rows);
        if (whole)
            finish(p, &t, rows, column);
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
                       .right = right + at * p->columns};
            (p->left_term == 1 ? copy_rows : turn_rows)(p, row, b.rows, b.term, b.depth, left);
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
    size_t most = span_of(p->depth, p->columns), each = tile_depth(p->depth);
    float *lefts = workspace + words_of(p->depth, p->columns);
#pragma omp parallel
    {
        int thread = omp_get_thread_num(), threads = omp_get_num_threads();
        float *left = lefts + (size_t)thread * OWN_WORDS;
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

void cpu_tall_forward(const linear_shape *shape, const float *x, const float *weights,
                      const float *bias, float *y, void *workspace) {
    size_t in = (size_t)shape->in_features;
    multiply(&(product){.left = x,
                        .right = weights,
                        .bias = bias,
                        .c = y,
                        .rows = (size_t)shape->n,
                        .columns = (size_t)shape->out_features,
                        .depth = in,
                        .left_row = in,
                        .left_term = 1,
                        .right_column = in,
                        .right_term = 1,
                        .positive = shape->activation == ACTIVATION_RELU},
             workspace);
}

void cpu_tall_backward_data(const linear_shape *shape, const float *dy, const float *weights,
                            float *dx, void *workspace) {
    size_t in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    multiply(&(product){.left = dy,
                        .right = weights,
                        .c = dx,
                        .rows = (size_t)shape->n,
                        .columns = in,
                        .depth = out,
                        .left_row = out,
                        .left_term = 1,
                        .right_column = 1,
                        .right_term = in},
             workspace);
}

void cpu_tall_backward_weights(const linear_shape *shape, const float *x, const float *dy,
                               float *dweights, float *dbias, void *workspace) {
    size_t in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    multiply(&(product){.left = dy,
                        .right = x,
                        .c = dweights,
                        .rows = out,
                        .columns = in,
                        .depth = (size_t)shape->n,
                        .left_row = 1,
                        .left_term = out,
                        .right_column = 1,
                        .right_term = in,
                        .sums = dbias},
             workspace);
}
