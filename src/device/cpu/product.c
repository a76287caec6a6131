#include "device/cpu/product.h"

#include "base/float16.h"
#include "device/cpu/cpu.h"
#include "device/cpu/product_tile.h"

#include <omp.h>

/* Depths and strides are counted in words of 32 bits: a value of fp32, or two of bf16 that follow
 * each other along the sums. */
enum {
    PANEL = LANES * TILE_MOST_VECTORS, /* columns of a tile */
    PANEL_ROWS = 6,                    /* of such a tile */
    BLOCK = 64,                        /* columns that are passed over together: whole panels */
    PANELS = BLOCK / PANEL,
    MOST_ROWS = 256,      /* of a batch: beyond, packing pays */
    FORWARD_DEPTH = 2048, /* of in: [depth, BLOCK] stays in a second-level cache */
    FORWARD_ROWS = 24,    /* of out, for a thread at once: whole tiles of every height */
    DATA_DEPTH = 64,      /* of out: [depth, BLOCK] stays in a first-level cache */
    GROUP = 4             /* blocks whose weights are fetched together */
};

bool cpu_product_serves(const linear_shape *shape) {
    bool pairs = LANES == 16 && onednn_has_bf16() && shape->out_features % 2 == 0;
    return (shape->type == DTYPE_F32 || (shape->type == DTYPE_BF16 && pairs)) &&
           shape->n % 16 == 0 && shape->n <= MOST_ROWS && shape->in_features % BLOCK == 0;
}

static bool in_pairs(const linear_shape *shape) {
    return shape->type == DTYPE_BF16;
}

/* Words of `count` values that follow each other. */
static size_t word_count(const linear_shape *shape, int count) {
    return (size_t)count / (in_pairs(shape) ? 2 : 1);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* A block of what every tile of it reads; of pairs also the sums of a group of blocks. */
static size_t kept_words(const linear_shape *shape) {
    return larger((size_t)shape->n, DATA_DEPTH) * BLOCK;
}

static size_t own_words(const linear_shape *shape) {
    return kept_words(shape) + (in_pairs(shape) ? (size_t)shape->n * BLOCK * GROUP : 0);
}

/* dy in pairs of samples. */
static size_t paired_words(const linear_shape *shape) {
    return in_pairs(shape) ? (size_t)shape->n / 2 * (size_t)shape->out_features : 0;
}

size_t cpu_product_workspace_bytes(const linear_shape *shape, int threads) {
    size_t backward = own_words(shape) * (size_t)threads + paired_words(shape);
    size_t forward = BLOCK * (FORWARD_DEPTH + (size_t)shape->out_features);
    return larger(backward, forward) * sizeof(float);
}

/* ---- forward: sums [out][columns of the batch], so that a vector holds neighbours in the batch
 * and the weights are read as single words, row by row. */

typedef struct forward_block {
    const linear_shape *shape;
    const float *weights; /* from the block's first column on */
    const float *turned;  /* [panel][depth][its columns]: x of the block, transposed */
    float *sums;          /* [out][columns] */
    size_t columns, depth;
} forward_block;

/* Columns of a panel: a block of fewer samples than a panel has one that is narrower. */
static size_t panel_columns(const forward_block *b) {
    return b->columns < PANEL ? b->columns : PANEL;
}

/* 16 words of each sample, from word `at` of the block on. */
static void turn(const forward_block *b, const float *x, size_t in, size_t at, float *turned) {
    size_t width = panel_columns(b);
    for (size_t column = 0; column < b->columns; column += LANES) {
        float *panel = turned + column / PANEL * PANEL * b->depth + column % PANEL;
        for (size_t k = at; k < at + 16; k += LANES)
            tile_transpose(x + column * in + k, in, panel + k * width, width);
    }
}

/* As high as the registers allow. */
ALWAYS_INLINE void forward_panel(const int how, tile t, int vectors, int rows) {
    if (vectors == 1)
        tile_rows(12, 1, how, t, rows);
    else if (vectors == 2)
        tile_rows(CPU_REGISTERS == 32 ? 12 : PANEL_ROWS, 2, how, t, rows);
    else if (vectors == 3)
        tile_rows(CPU_REGISTERS == 32 ? 8 : 1, TILE_MOST_VECTORS < 3 ? 1 : 3, how, t, rows);
    else
        tile_rows(PANEL_ROWS, TILE_MOST_VECTORS, how, t, rows);
}

ALWAYS_INLINE void forward_tiles(const forward_block *b, const int how, int first, int rows) {
    size_t in = word_count(b->shape, b->shape->in_features), width = panel_columns(b);
    for (size_t column = 0; column < b->columns; column += PANEL) {
        tile t = {.a = b->weights + (size_t)first * in,
                  .b = b->turned + column * b->depth,
                  .c = b->sums + (size_t)first * b->columns + column,
                  .a_row = in,
                  .a_depth = 1,
                  .b_depth = width,
                  .c_row = b->columns,
                  .depth = b->depth};
        forward_panel(how, t, (int)(width / LANES), rows);
    }
}

static void forward_first(const forward_block *b, int first, int rows) {
    if (in_pairs(b->shape))
        forward_tiles(b, TILE_PAIRS, first, rows);
    else
        forward_tiles(b, 0, first, rows);
}

static void forward_next(const forward_block *b, int first, int rows) {
    if (in_pairs(b->shape))
        forward_tiles(b, TILE_PAIRS | TILE_ADDS, first, rows);
    else
        forward_tiles(b, TILE_ADDS, first, rows);
}

static void finish_forward(const forward_block *b, const float *bias, void *y, int first,
                           int rows) {
    size_t out = (size_t)b->shape->out_features;
    for (size_t n = 0; n < b->columns; n++)
        for (int o = first; o < first + rows; o++) {
            float sum = b->sums[(size_t)o * b->columns + n] + bias[o];
            float value = b->shape->activation == ACTIVATION_RELU && !(sum > 0) ? 0 : sum;
            if (in_pairs(b->shape))
                ((uint16_t *)y)[n * out + (size_t)o] = bf16_of_float(value);
            else
                ((float *)y)[n * out + (size_t)o] = value;
        }
}

/* Of at most BLOCK samples. Inside a parallel region. */
static void forward_samples(const linear_shape *shape, const float *x, const float *weights,
                            const float *bias, void *y, size_t columns, float *workspace) {
    size_t in = word_count(shape, shape->in_features);
    int out = shape->out_features;
    float *turned = workspace + (size_t)out * BLOCK;
    forward_block block = {shape, weights, turned, workspace, columns, 0};
    for (size_t k = 0; k < in; k += FORWARD_DEPTH) {
        block.weights = weights + k;
        block.depth = in - k < FORWARD_DEPTH ? in - k : FORWARD_DEPTH;
#pragma omp for schedule(static)
        for (size_t at = 0; at < block.depth; at += 16)
            turn(&block, x + k, in, at, turned);
#pragma omp for schedule(static)
        for (int first = 0; first < out; first += FORWARD_ROWS) {
            int rows = out - first < FORWARD_ROWS ? out - first : FORWARD_ROWS;
            if (k == 0)
                forward_first(&block, first, rows);
            else
                forward_next(&block, first, rows);
            if (k + FORWARD_DEPTH >= in)
                finish_forward(&block, bias, y, first, rows);
        }
    }
}

void cpu_product_forward(const linear_shape *shape, const void *x, const void *weights,
                         const float *bias, void *y, void *workspace) {
    size_t x_row = word_count(shape, shape->in_features),
           y_row = word_count(shape, shape->out_features);
#pragma omp parallel
    for (int n = 0; n < shape->n; n += BLOCK) {
        int columns = shape->n - n < BLOCK ? shape->n - n : BLOCK;
        forward_samples(shape, (const float *)x + (size_t)n * x_row, weights, bias,
                        (float *)y + (size_t)n * y_row, (size_t)columns, workspace);
    }
}

/* ---- backward: sums of BLOCK neighbouring columns of in. The first tile of a panel copies it, for
 * its rows lie whole pages apart: in the caches they would push each other out; and of bf16 it
 * makes pairs of them. */

ALWAYS_INLINE void pass_rows(tile *t, int *rows, int passed) {
    t->a += (size_t)passed * t->a_row;
    t->c += (size_t)passed * t->c_row;
    *rows -= passed;
}

/* The same rows of each panel of the block: from b as it lies, or from what was kept of it. */
ALWAYS_INLINE void block_row(const int rows, const int how, const tile *t) {
    for (size_t panel = 0; panel < PANELS; panel++) {
        tile one = *t;
        bool lies = (how & TILE_KEEPS) != 0;
        one.kept += panel * PANEL * t->depth;
        one.b = lies ? t->b + panel * PANEL : one.kept;
        one.b_depth = lies ? t->b_depth : PANEL;
        one.c += panel * PANEL;
        if (panel == 0)
            tile_multiply(rows, TILE_MOST_VECTORS, how, &one);
        else
            tile_multiply(rows, TILE_MOST_VECTORS, how & ~TILE_FETCHES, &one);
    }
}

/* Where t.next is given, the first panel's four tiles after its first fetch what lies there. */
ALWAYS_INLINE void block_tiles(const int how, tile t, int rows) {
    const int first = how | TILE_KEEPS | (how & TILE_PAIRS ? TILE_INTERLEAVES : 0);
    const size_t lines = how & TILE_PAIRS ? TILE_FETCHED_LINES / 2 : TILE_FETCHED_LINES;
    if (rows >= PANEL_ROWS) {
        block_row(PANEL_ROWS, first, &t);
        pass_rows(&t, &rows, PANEL_ROWS);
    } else {
        block_row(1, first, &t);
        pass_rows(&t, &rows, 1);
    }
    for (int fetching = 0; t.next && fetching < 4 && rows >= PANEL_ROWS; fetching++) {
        block_row(PANEL_ROWS, how | TILE_FETCHES, &t);
        pass_rows(&t, &rows, PANEL_ROWS);
        t.next += t.depth / lines * t.b_next;
    }
    for (; rows >= PANEL_ROWS; pass_rows(&t, &rows, PANEL_ROWS))
        block_row(PANEL_ROWS, how, &t);
    for (; rows >= 2; pass_rows(&t, &rows, 2))
        block_row(2, how, &t);
    if (rows)
        block_row(1, how, &t);
}

/* What a thread has to itself, behind the pairs. */
static float *own_part(const linear_shape *shape, float *workspace) {
    return workspace + paired_words(shape) + (size_t)omp_get_thread_num() * own_words(shape);
}

/* dx = rounded sums, [n][BLOCK]. */
static void round_block(const linear_shape *shape, const float *sums, uint16_t *dx) {
    for (size_t n = 0; n < (size_t)shape->n; n++)
        cpu_round_to_bf16(sums + n * BLOCK, dx + n * (size_t)shape->in_features, BLOCK);
}

typedef struct data_operands {
    const linear_shape *shape;
    const float *dy, *weights; /* weights and dx: from the first block's column on */
    void *dx;
    float *kept, *sums; /* sums: of pairs, where dx has no room for them */
} data_operands;

/* Up to GROUP blocks, so that a row of the weights is read that far at once, and fetched for its
 * next DATA_DEPTH words while these are multiplied: a quarter of them by each block. */
ALWAYS_INLINE void data_block(const data_operands *o, const int how, size_t k, int block) {
    const linear_shape *shape = o->shape;
    const size_t rows = how & TILE_PAIRS ? 2 : 1; /* of the weights, in a word */
    size_t in = word_count(shape, shape->in_features), out = word_count(shape, shape->out_features);
    size_t block_width = word_count(shape, BLOCK);
    const float *next = k + DATA_DEPTH < out ? o->weights + (k + DATA_DEPTH) * rows * in
                                             : o->weights + block_width * GROUP;
    tile t = {.a = o->dy + k,
              .b = o->weights + k * rows * in + block_width * (size_t)block,
              .a_row = out,
              .a_depth = 1,
              .b_depth = in,
              .depth = out - k < DATA_DEPTH ? out - k : DATA_DEPTH,
              .kept = o->kept,
              .next = next + (size_t)(block * DATA_DEPTH / GROUP) * rows * in,
              .b_next = in};
    if (how & TILE_PAIRS) {
        t.c = o->sums + (size_t)block * BLOCK * (size_t)shape->n;
        t.c_row = BLOCK;
    } else {
        t.c = (float *)o->dx + BLOCK * block;
        t.c_row = in;
    }
    block_tiles(how, t, shape->n);
}

static void data_group(const data_operands *o, int blocks) {
    size_t out = word_count(o->shape, o->shape->out_features);
    for (size_t k = 0; k < out; k += DATA_DEPTH)
        for (int block = 0; block < blocks; block++) {
            if (k == 0)
                data_block(o, 0, k, block);
            else
                data_block(o, TILE_ADDS, k, block);
        }
}

static void data_group_pairs(const data_operands *o, int blocks) {
    size_t out = word_count(o->shape, o->shape->out_features), n = (size_t)o->shape->n;
    for (size_t k = 0; k < out; k += DATA_DEPTH)
        for (int block = 0; block < blocks; block++) {
            if (k == 0)
                data_block(o, TILE_PAIRS, k, block);
            else
                data_block(o, TILE_PAIRS | TILE_ADDS, k, block);
        }
    for (int block = 0; block < blocks; block++)
        round_block(o->shape, o->sums + (size_t)block * BLOCK * n,
                    (uint16_t *)o->dx + block * BLOCK);
}

void cpu_product_backward_data(const linear_shape *shape, const void *dy, const void *weights,
                               void *dx, void *workspace) {
    int blocks = shape->in_features / BLOCK;
    size_t block_width = word_count(shape, BLOCK);
#pragma omp parallel for schedule(static)
    for (int block = 0; block < blocks; block += GROUP) {
        float *own = own_part(shape, workspace);
        size_t at = (size_t)block * block_width;
        data_operands operands = {.shape = shape,
                                  .dy = dy,
                                  .weights = (const float *)weights + at,
                                  .dx = (float *)dx + at,
                                  .kept = own,
                                  .sums = own + kept_words(shape)};
        int count = blocks - block < GROUP ? blocks - block : GROUP;
        if (in_pairs(shape))
            data_group_pairs(&operands, count);
        else
            data_group(&operands, count);
    }
}

static void weights_block(const linear_shape *shape, const float *x, const float *dy,
                          float *dweights, bool streams, float *kept) {
    tile t = {.a = dy,
              .b = x,
              .c = dweights,
              .a_row = 1,
              .a_depth = (size_t)shape->out_features,
              .b_depth = word_count(shape, shape->in_features),
              .c_row = (size_t)shape->in_features,
              .depth = word_count(shape, shape->n),
              .kept = kept};
    if (in_pairs(shape) && streams)
        block_tiles(TILE_PAIRS | TILE_STREAMS, t, shape->out_features);
    else if (in_pairs(shape))
        block_tiles(TILE_PAIRS, t, shape->out_features);
    else if (streams)
        block_tiles(TILE_STREAMS, t, shape->out_features);
    else
        block_tiles(0, t, shape->out_features);
}

/* to[pair of samples][out] = both samples' values. Inside a parallel region. */
static void pair_samples(const linear_shape *shape, const uint16_t *dy, uint32_t *to) {
    size_t out = (size_t)shape->out_features;
#pragma omp for schedule(static)
    for (int pair = 0; pair < shape->n / 2; pair++) {
        const uint16_t *even = dy + (size_t)(2 * pair) * out, *odd = even + out;
        for (size_t o = 0; o < out; o++)
            to[(size_t)pair * out + o] = even[o] | (uint32_t)odd[o] << 16;
    }
}

void cpu_product_backward_weights(const linear_shape *shape, const void *x, const void *dy,
                                  float *dweights, void *workspace) {
    size_t bytes = (size_t)shape->out_features * (size_t)shape->in_features * sizeof *dweights;
    bool streams = stream_serves(dweights, bytes);
#pragma omp parallel
    {
        float *kept = own_part(shape, workspace);
        if (in_pairs(shape))
            pair_samples(shape, dy, workspace);
#pragma omp for schedule(static) nowait
        for (int column = 0; column < shape->in_features; column += BLOCK)
            weights_block(shape, (const float *)x + word_count(shape, column),
                          in_pairs(shape) ? workspace : dy, dweights + column, streams, kept);
        end_streams(streams);
    }
}
