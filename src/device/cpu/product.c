#include "device/cpu/product.h"

#include "base/vectorised.h"
#include "device/cpu/product_tile.h"

#include <omp.h>

enum {
    PANEL = 16 * TILE_MOST_VECTORS, /* columns of a tile */
    PANEL_ROWS = 6,                 /* of such a tile */
    MOST_ROWS = 256,                /* of a batch: beyond, packing pays */
    FORWARD_DEPTH = 2048,           /* of in: [depth, PANEL] stays in a second-level cache */
    FORWARD_ROWS = 24,              /* of out, for a thread at once: whole tiles of every height */
    DATA_DEPTH = 64,                /* of out: [depth, PANEL] stays in a first-level cache */
    GROUP = 4                       /* panels whose weights are fetched together */
};

bool cpu_product_serves(const linear_shape *shape) {
    return shape->type == DTYPE_F32 && has_wide_vectors() && shape->n % 16 == 0 &&
           shape->n <= MOST_ROWS && shape->in_features % PANEL == 0;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

size_t cpu_product_workspace_bytes(const linear_shape *shape, int threads) {
    size_t kept = larger((size_t)shape->n, DATA_DEPTH) * PANEL * (size_t)threads;
    size_t forward = PANEL * (FORWARD_DEPTH + (size_t)shape->out_features);
    return larger(kept, forward) * sizeof(float);
}

/* ---- forward: sums [out][columns of the batch], so that a vector holds neighbours in the batch
 * and the weights are read as single values, row by row. */

typedef struct forward_block {
    const linear_shape *shape;
    const float *weights; /* from the block's first column on */
    const float *turned;  /* [depth][columns]: x of the block, transposed */
    float *sums;          /* [out][columns] */
    size_t columns, depth;
} forward_block;

WIDE_VECTORS static void turn(const float *x, size_t in, float *turned, size_t columns) {
    for (size_t column = 0; column < columns; column += 16)
        tile_transpose(x + column * in, in, turned + column, columns);
}

ALWAYS_INLINE void forward_tiles(const forward_block *b, const int how, int first, int rows) {
    size_t in = (size_t)b->shape->in_features;
    tile t = {.a = b->weights + (size_t)first * in,
              .b = b->turned,
              .c = b->sums + (size_t)first * b->columns,
              .a_row = in,
              .a_depth = 1,
              .b_depth = b->columns,
              .c_row = b->columns,
              .depth = b->depth};
    switch (b->columns) {
    case 16:
        tile_rows(12, 1, how, t, rows);
        break;
    case 32:
        tile_rows(12, 2, how, t, rows);
        break;
    case 48:
        tile_rows(8, 3, how, t, rows);
        break;
    default:
        tile_rows(6, 4, how, t, rows);
    }
}

WIDE_VECTORS static void forward_first(const forward_block *b, int first, int rows) {
    forward_tiles(b, 0, first, rows);
}

WIDE_VECTORS static void forward_next(const forward_block *b, int first, int rows) {
    forward_tiles(b, TILE_ADDS, first, rows);
}

static void finish_forward(const forward_block *b, const float *bias, float *y, int first,
                           int rows) {
    size_t out = (size_t)b->shape->out_features;
    for (size_t n = 0; n < b->columns; n++)
        for (int o = first; o < first + rows; o++) {
            float sum = b->sums[(size_t)o * b->columns + n] + bias[o];
            y[n * out + (size_t)o] = b->shape->relu && !(sum > 0) ? 0 : sum;
        }
}

/* Of at most PANEL samples. Inside a parallel region. */
static void forward_samples(const linear_shape *shape, const float *x, const float *weights,
                            const float *bias, float *y, size_t columns, float *workspace) {
    int in = shape->in_features, out = shape->out_features;
    float *turned = workspace + (size_t)out * PANEL;
    forward_block block = {shape, weights, turned, workspace, columns, 0};
    for (int k = 0; k < in; k += FORWARD_DEPTH) {
        block.weights = weights + k;
        block.depth = (size_t)(in - k < FORWARD_DEPTH ? in - k : FORWARD_DEPTH);
#pragma omp for schedule(static)
        for (size_t at = 0; at < block.depth; at += 16)
            turn(x + (size_t)k + at, (size_t)in, turned + at * columns, columns);
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

void cpu_product_forward(const linear_shape *shape, const float *x, const float *weights,
                         const float *bias, float *y, float *workspace) {
#pragma omp parallel
    for (int n = 0; n < shape->n; n += PANEL) {
        int columns = shape->n - n < PANEL ? shape->n - n : PANEL;
        forward_samples(shape, x + (size_t)n * (size_t)shape->in_features, weights, bias,
                        y + (size_t)n * (size_t)shape->out_features, (size_t)columns, workspace);
    }
}

/* ---- backward: sums of PANEL neighbouring columns of in. The first tile of a panel copies it, for
 * its rows lie whole pages apart: in the caches they would push each other out. */

static float *own_part(float *workspace, size_t depth) {
    return workspace + (size_t)omp_get_thread_num() * depth * PANEL;
}

ALWAYS_INLINE void pass_rows(tile *t, int *rows, int passed) {
    t->a += (size_t)passed * t->a_row;
    t->c += (size_t)passed * t->c_row;
    *rows -= passed;
}

/* Where t.next is given, the four tiles after the first fetch what lies there. */
ALWAYS_INLINE void panel_tiles(const int how, tile t, int rows) {
    if (rows >= PANEL_ROWS) {
        tile_multiply(PANEL_ROWS, TILE_MOST_VECTORS, how | TILE_KEEPS, &t);
        pass_rows(&t, &rows, PANEL_ROWS);
    } else {
        tile_multiply(1, TILE_MOST_VECTORS, how | TILE_KEEPS, &t);
        pass_rows(&t, &rows, 1);
    }
    t.b = t.kept;
    t.b_depth = PANEL;
    for (int fetching = 0; t.next && fetching < 4 && rows >= PANEL_ROWS; fetching++) {
        tile_multiply(PANEL_ROWS, TILE_MOST_VECTORS, how | TILE_FETCHES, &t);
        pass_rows(&t, &rows, PANEL_ROWS);
        t.next += t.depth / TILE_FETCHED_LINES * t.b_next;
    }
    tile_rows(PANEL_ROWS, TILE_MOST_VECTORS, how, t, rows);
}

/* Up to GROUP panels, so that a row of the weights is read that far at once, and fetched for its
 * next DATA_DEPTH rows while these are multiplied: a quarter of them by each panel. */
WIDE_VECTORS static void data_group(const linear_shape *shape, const float *dy,
                                    const float *weights, float *dx, int panels, float *kept) {
    size_t in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    for (size_t k = 0; k < out; k += DATA_DEPTH) {
        const float *next = k + DATA_DEPTH < out ? weights + (k + DATA_DEPTH) * in
                                                 : weights + (size_t)(PANEL * GROUP);
        for (int panel = 0; panel < panels; panel++) {
            tile t = {.a = dy + k,
                      .b = weights + k * in + PANEL * panel,
                      .c = dx + PANEL * panel,
                      .a_row = out,
                      .a_depth = 1,
                      .b_depth = in,
                      .c_row = in,
                      .depth = out - k < DATA_DEPTH ? out - k : DATA_DEPTH,
                      .kept = kept,
                      .next = next + (size_t)(panel * DATA_DEPTH / GROUP) * in,
                      .b_next = in};
            if (k == 0)
                panel_tiles(0, t, shape->n);
            else
                panel_tiles(TILE_ADDS, t, shape->n);
        }
    }
}

void cpu_product_backward_data(const linear_shape *shape, const float *dy, const float *weights,
                               float *dx, float *workspace) {
    int panels = shape->in_features / PANEL;
#pragma omp parallel for schedule(static)
    for (int panel = 0; panel < panels; panel += GROUP)
        data_group(shape, dy, weights + panel * PANEL, dx + panel * PANEL,
                   panels - panel < GROUP ? panels - panel : GROUP,
                   own_part(workspace, DATA_DEPTH));
}

WIDE_VECTORS static void weights_panel(const linear_shape *shape, const float *x, const float *dy,
                                       float *dweights, bool streams, float *kept) {
    size_t in = (size_t)shape->in_features;
    tile t = {.a = dy,
              .b = x,
              .c = dweights,
              .a_row = 1,
              .a_depth = (size_t)shape->out_features,
              .b_depth = in,
              .c_row = in,
              .depth = (size_t)shape->n,
              .kept = kept};
    if (streams)
        panel_tiles(TILE_STREAMS, t, shape->out_features);
    else
        panel_tiles(0, t, shape->out_features);
}

void cpu_product_backward_weights(const linear_shape *shape, const float *x, const float *dy,
                                  float *dweights, float *workspace) {
    size_t bytes = (size_t)shape->out_features * (size_t)shape->in_features * sizeof *dweights;
    bool streams = stream_serves(dweights, bytes);
#pragma omp parallel
    {
        float *kept = own_part(workspace, (size_t)shape->n);
#pragma omp for schedule(static) nowait
        for (int column = 0; column < shape->in_features; column += PANEL)
            weights_panel(shape, x + column, dy, dweights + column, streams, kept);
        end_streams(streams);
    }
}
