#include "device/cpu/attention.h"

#include "device/cpu/cpu.h"
#include "device/cpu/exponential.h"
#include "device/cpu/product_tile.h"
#include "device/cpu/values.h"

#include <math.h>

enum {
    PANEL = LANES * TILE_MOST_VECTORS, /* columns of a tile */
    TILE_HEIGHT = 6,                   /* its rows */
    QUERIES = LANES == 8 ? 72 : 48,    /* of a block, at most: whole tiles */
    KEYS = LANES == 8 ? 112 : 64       /* of a block, at most: whole panels in every form */
};

static size_t rounded_up(size_t count, size_t whole) {
    return (count + whole - 1) / whole * whole;
}

/* Of a block: as many in each as panels allow, where panels are narrow. */
static size_t keys_of(size_t tokens) {
    size_t blocks = (tokens + KEYS - 1) / KEYS;
    return LANES == 8 ? rounded_up((tokens + blocks - 1) / blocks, PANEL) : KEYS;
}

/* The head's part of x or y, and its copies in fp32: rows of `width` values, those behind head_dim
 * zeros; rows behind the last token up to a whole block of keys are zeros too. */
typedef struct head {
    const attention_job *job;
    size_t tokens, dim, width, rows;
    size_t keys;           /* of a block: rows of its scores are so long */
    size_t x_row, x_first; /* elements between tokens; of the first token's query */
    size_t y_row, y_first;
    bool bf16;
    float scale;
    float *saved;
} head;

static head head_of(const attention_job *job, size_t sample, size_t number) {
    const attention_shape *s = &job->shape;
    size_t tokens = (size_t)s->tokens, dim = (size_t)s->head_dim, heads = (size_t)s->heads;
    return (head){.job = job,
                  .tokens = tokens,
                  .dim = dim,
                  .width = rounded_up(dim, PANEL),
                  .rows = rounded_up(tokens, keys_of(tokens)),
                  .keys = keys_of(tokens),
                  .x_row = 3 * heads * dim,
                  .x_first = sample * tokens * 3 * heads * dim + number * dim,
                  .y_row = heads * dim,
                  .y_first = sample * tokens * heads * dim + number * dim,
                  .bf16 = s->type == DTYPE_BF16,
                  .scale = (float)(1 / sqrt((double)dim)),
                  .saved = job->saved + (sample * heads + number) * tokens};
}

/* Where query, key and value of the head begin in x. */
static size_t part_of(const head *h, size_t part) {
    return h->x_first + part * (h->x_row / 3);
}

/* to[rows][width] = factor * from[tokens][dim], zeros around it. */
ALWAYS_INLINE void copy_rows(bool bf16, const head *h, const void *from, size_t first, size_t row,
                             float factor, float *to) {
    memset(to + h->tokens * h->width, 0, (h->rows - h->tokens) * h->width * sizeof *to);
    for (size_t token = 0; token < h->tokens; token++)
        for (size_t d = 0; d < h->width; d += LANES) {
            size_t left = h->dim > d ? h->dim - d : 0;
            floats value =
                load_values(bf16, from, first + token * row + d, left < LANES ? left : LANES) *
                factor;
            *(floats_there *)(to + token * h->width + d) = value;
        }
}

static void copy(const head *h, const void *from, size_t first, size_t row, float factor,
                 float *to) {
    if (h->bf16)
        copy_rows(true, h, from, first, row, factor, to);
    else
        copy_rows(false, h, from, first, row, factor, to);
}

/* Blocks of keys, each [width][keys]: of [rows][width] the blocks' transposes. */
static void turn(const head *h, const float *from, float *to) {
    for (size_t key = 0; key < h->rows; key += LANES)
        for (size_t d = 0; d < h->width; d += LANES)
            tile_transpose(from + key * h->width + d, h->width,
                           to + (key - key % h->keys) * h->width + d * h->keys + key % h->keys,
                           h->keys);
}

/* c[rows][columns] = or += a * b; columns in whole vectors, panels while these last. */
ALWAYS_INLINE void multiply(const int how, tile t, size_t rows, size_t columns) {
    for (; columns >= PANEL; columns -= PANEL) {
        tile_rows(TILE_HEIGHT, TILE_MOST_VECTORS, how, t, (int)rows);
        t.b += PANEL;
        t.c += PANEL;
    }
    if (TILE_MOST_VECTORS > 2 && columns >= 2 * LANES) {
        tile_rows(TILE_HEIGHT, 2, how, t, (int)rows);
        t.b += 2 * LANES;
        t.c += 2 * LANES;
        columns -= 2 * LANES;
    }
    if (columns > 0)
        tile_rows(TILE_HEIGHT, 1, how, t, (int)rows);
}

static void product(tile t, size_t rows, size_t columns) {
    multiply(0, t, rows, columns);
}

static void product_added(tile t, size_t rows, size_t columns) {
    multiply(TILE_ADDS, t, rows, columns);
}

/* A block's place: queries from `query` on, keys from `key` on. */
typedef struct block {
    size_t query, queries, key, keys; /* keys: that are there, of a block's */
} block;

/* The block's keys in whole vectors: what its scores are made for. */
static size_t columns_of(const block *b) {
    return rounded_up(b->keys, LANES);
}

/* scores[queries][keys] = queries * transposed keys, or what else lies so. */
static void make_scores(const head *h, const block *b, const float *queries, const float *turned,
                        float *scores) {
    product((tile){.a = queries + b->query * h->width,
                   .b = turned + b->key * h->width,
                   .c = scores,
                   .a_row = h->width,
                   .a_depth = 1,
                   .b_depth = h->keys,
                   .c_row = h->keys,
                   .depth = h->dim},
            b->queries, columns_of(b));
}

/* --- forward */

typedef struct forward_memory {
    float *queries, *keys, *turned, *values; /* keys: what is turned, then a scratch */
    float *scores, *sums;                    /* sums: [QUERIES][width] */
} forward_memory;

typedef struct backward_memory {
    float *queries, *keys, *values, *deltas; /* [rows][width] */
    float *turned_keys, *turned_values;
    float *dkeys, *dvalues;              /* [rows][width] */
    float *weights, *dscores, *dqueries; /* [QUERIES][keys], [QUERIES][width] */
} backward_memory;

static size_t width_of(const attention_shape *shape) {
    return rounded_up((size_t)shape->head_dim, PANEL);
}

static size_t whole_of(const attention_shape *shape) { /* floats of a copy */
    return rounded_up((size_t)shape->tokens, keys_of((size_t)shape->tokens)) * width_of(shape);
}

size_t cpu_attention_workspace_bytes(const attention_shape *shape) {
    size_t blocks = 2 * QUERIES * KEYS + QUERIES * width_of(shape);
    return (8 * whole_of(shape) + blocks) * sizeof(float);
}

static forward_memory forward_memory_of(const head *h, float *at) {
    size_t whole = h->rows * h->width;
    return (forward_memory){.queries = at,
                            .keys = at + whole,
                            .turned = at + 2 * whole,
                            .values = at + 3 * whole,
                            .scores = at + 4 * whole,
                            .sums = at + 4 * whole + QUERIES * KEYS};
}

static backward_memory backward_memory_of(const head *h, float *at) {
    size_t whole = h->rows * h->width;
    float *blocks = at + 8 * whole;
    return (backward_memory){.queries = at,
                             .keys = at + whole,
                             .values = at + 2 * whole,
                             .deltas = at + 3 * whole,
                             .turned_keys = at + 4 * whole,
                             .turned_values = at + 5 * whole,
                             .dkeys = at + 6 * whole,
                             .dvalues = at + 7 * whole,
                             .weights = blocks,
                             .dscores = blocks + QUERIES * KEYS,
                             .dqueries = blocks + 2 * QUERIES * KEYS};
}

/* A query's running maximum and sum. */
typedef struct running {
    float most, sum;
} running;

static float largest(const float *row, size_t count) {
    float most = row[0];
    for (size_t i = 1; i < count; i++)
        most = row[i] > most ? row[i] : most;
    return most;
}

ALWAYS_INLINE floats lane_maximum(const floats *a, const floats *b) {
    words larger = (words)(*a > *b);
    return (floats)(((words)*a & larger) | ((words)*b & ~larger));
}

static float row_maximum(const float *row, size_t count) {
    if (count < LANES)
        return largest(row, count);
    floats most = *(const floats_there *)row, last = *(const floats_there *)(row + count - LANES);
    for (size_t i = LANES; i + LANES <= count; i += LANES) {
        floats next = *(const floats_there *)(row + i);
        most = lane_maximum(&most, &next);
    }
    most = lane_maximum(&most, &last);
    float lanes[LANES];
    memcpy(lanes, &most, sizeof lanes);
    return largest(lanes, LANES);
}

/* Zeros behind the first lanes. */
ALWAYS_INLINE void keep_first(size_t lanes, floats *value) {
    ints kept;
    for (int lane = 0; lane < LANES; lane++)
        kept[lane] = -(lane < (int)lanes);
    *value = (floats)((ints)*value & kept);
}

/* row[vectors] = exp(row - most); returns the sums of its lanes. */
ALWAYS_INLINE floats exponentials_at(const int vectors, float *row, float most) {
    floats value[EXPONENTIALS], sum;
    CPU_UNROLL(4)
    for (int v = 0; v < vectors; v++)
        value[v] = *(const floats_there *)(row + v * LANES) - most;
    exponentials_of(vectors, value);
    sum = value[0];
    CPU_UNROLL(4)
    for (int v = 0; v < vectors; v++) {
        *(floats_there *)(row + v * LANES) = value[v];
        if (v > 0)
            sum += value[v];
    }
    return sum;
}

/* row = exp(row - most), zeros behind `count` to the end of its vector; returns the sum. */
static float exponentials(float *row, size_t count, float most) {
    floats sum = {0};
    size_t i = 0;
    for (; i + EXPONENTIALS * LANES <= count; i += EXPONENTIALS * LANES)
        sum += exponentials_at(EXPONENTIALS, row + i, most);
    for (; i + LANES <= count; i += LANES)
        sum += exponentials_at(1, row + i, most);
    if (i < count) {
        exponentials_at(1, row + i, most);
        floats last = *(const floats_there *)(row + i);
        keep_first(count - i, &last);
        *(floats_there *)(row + i) = last;
        sum += last;
    }
    float lanes[LANES], total = 0;
    memcpy(lanes, &sum, sizeof lanes);
    for (size_t lane = 0; lane < LANES; lane++)
        total += lanes[lane];
    return total;
}

static void scale_row(float *row, size_t width, float factor) {
    for (size_t d = 0; d < width; d += LANES)
        *(floats_there *)(row + d) *= factor;
}

/* Weights of a block of scores, and what its maximum changes of the sums before. */
static void weigh(const head *h, const block *b, const forward_memory *m, running *of) {
    for (size_t query = 0; query < b->queries; query++) {
        float *row = m->scores + query * h->keys, most = row_maximum(row, b->keys);
        if (b->key == 0) {
            of[query] = (running){most, exponentials(row, b->keys, most)};
            continue;
        }
        if (most > of[query].most) {
            float change = expf(of[query].most - most);
            scale_row(m->sums + query * h->width, h->width, change);
            of[query] = (running){most, of[query].sum * change};
        }
        of[query].sum += exponentials(row, b->keys, of[query].most);
    }
}

/* sums[queries][width] += rows[queries][keys] * of[keys][width]; the first keys begin the sums. */
static void add_to_queries(const head *h, const block *b, const float *rows, const float *of,
                           float *sums) {
    tile t = {.a = rows,
              .b = of + b->key * h->width,
              .c = sums,
              .a_row = h->keys,
              .a_depth = 1,
              .b_depth = h->width,
              .c_row = h->width,
              .depth = b->keys};
    if (b->key == 0)
        product(t, b->queries, h->width);
    else
        product_added(t, b->queries, h->width);
}

ALWAYS_INLINE void store_row(bool bf16, const head *h, const float *row, float factor, void *to,
                             size_t at) {
    for (size_t d = 0; d < h->dim; d += LANES) {
        size_t left = h->dim - d;
        floats value = *(const floats_there *)(row + d) * factor;
        store_values(bf16, false, to, at + d, left < LANES ? left : LANES, &value);
    }
}

static void store(const head *h, const float *row, float factor, void *to, size_t at) {
    if (h->bf16)
        store_row(true, h, row, factor, to, at);
    else
        store_row(false, h, row, factor, to, at);
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Queries of a block, all but the last of as many and in whole tiles. */
static size_t queries_of_block(const head *h) {
    size_t blocks = (h->tokens + QUERIES - 1) / QUERIES;
    return rounded_up((h->tokens + blocks - 1) / blocks, TILE_HEIGHT);
}

static void forward_queries(const head *h, const forward_memory *m, size_t query, size_t queries,
                            float *saved) {
    running of[QUERIES];
    for (size_t key = 0; key < h->tokens; key += h->keys) {
        block b = {query, queries, key, smaller(h->keys, h->tokens - key)};
        make_scores(h, &b, m->queries, m->turned, m->scores);
        weigh(h, &b, m, of);
        add_to_queries(h, &b, m->scores, m->values, m->sums);
    }
    for (size_t i = 0; i < queries; i++) {
        saved[query + i] = of[i].most + logf(of[i].sum);
        store(h, m->sums + i * h->width, 1 / of[i].sum, h->job->y,
              h->y_first + (query + i) * h->y_row);
    }
}

void cpu_attention_forward(const attention_job *self, size_t sample, size_t number,
                           float *workspace) {
    head h = head_of(self, sample, number);
    forward_memory m = forward_memory_of(&h, workspace);
    copy(&h, self->x, part_of(&h, 0), h.x_row, h.scale, m.queries);
    copy(&h, self->x, part_of(&h, 1), h.x_row, 1, m.keys);
    copy(&h, self->x, part_of(&h, 2), h.x_row, 1, m.values);
    turn(&h, m.keys, m.turned);
    for (size_t query = 0, step = queries_of_block(&h); query < h.tokens; query += step)
        forward_queries(&h, &m, query, smaller(step, h.tokens - query), h.saved);
}

/* --- backward: with p the weights and dp = dy * value, the scores' gradient is p * (dp - dy * y).
 * Queries are scaled as in forward, so that only their own gradient is to be scaled again. */

/* dy * y of a query. */
static float mean_of(const head *h, const float *delta, size_t query) {
    floats sum = {0};
    for (size_t d = 0; d < h->dim; d += LANES) {
        size_t left = h->dim - d;
        sum += load_values(h->bf16, h->job->y, h->y_first + query * h->y_row + d,
                           left < LANES ? left : LANES) *
               *(const floats_there *)(delta + d);
    }
    float total = 0;
    for (size_t lane = 0; lane < LANES; lane++)
        total += sum[lane];
    return total;
}

/* From scores to weights, and from the weights' gradient to the scores'. */
static void derive(const head *h, const block *b, const backward_memory *m, const float *means) {
    for (size_t i = 0; i < b->queries; i++) {
        float *weights = m->weights + i * h->keys, *dscores = m->dscores + i * h->keys;
        exponentials(weights, b->keys, h->saved[b->query + i]);
        for (size_t key = 0; key < columns_of(b); key += LANES) {
            floats_there *d = (floats_there *)(dscores + key);
            *d = *(const floats_there *)(weights + key) * (*d - means[i]);
        }
    }
}

/* gradient[keys][width] += transposed rows[queries][keys] * of[queries][width]. */
static void add_to_keys(const head *h, const block *b, const float *rows, const float *of,
                        float *gradient) {
    tile t = {.a = rows,
              .b = of + b->query * h->width,
              .c = gradient + b->key * h->width,
              .a_row = 1,
              .a_depth = h->keys,
              .b_depth = h->width,
              .c_row = h->width,
              .depth = b->queries};
    if (b->query == 0)
        product(t, b->keys, h->width);
    else
        product_added(t, b->keys, h->width);
}

static void backward_queries(const head *h, const backward_memory *m, size_t query,
                             size_t queries) {
    float means[QUERIES];
    for (size_t i = 0; i < queries; i++)
        means[i] = mean_of(h, m->deltas + (query + i) * h->width, query + i);
    for (size_t key = 0; key < h->tokens; key += h->keys) {
        block b = {query, queries, key, smaller(h->keys, h->tokens - key)};
        make_scores(h, &b, m->queries, m->turned_keys, m->weights);
        make_scores(h, &b, m->deltas, m->turned_values, m->dscores);
        derive(h, &b, m, means);
        add_to_keys(h, &b, m->weights, m->deltas, m->dvalues);
        add_to_keys(h, &b, m->dscores, m->queries, m->dkeys);
        add_to_queries(h, &b, m->dscores, m->keys, m->dqueries);
    }
    for (size_t i = 0; i < queries; i++)
        store(h, m->dqueries + i * h->width, h->scale, h->job->dx,
              part_of(h, 0) + (query + i) * h->x_row);
}

void cpu_attention_backward(const attention_job *self, size_t sample, size_t number,
                            float *workspace) {
    head h = head_of(self, sample, number);
    backward_memory m = backward_memory_of(&h, workspace);
    copy(&h, self->x, part_of(&h, 0), h.x_row, h.scale, m.queries);
    copy(&h, self->x, part_of(&h, 1), h.x_row, 1, m.keys);
    copy(&h, self->x, part_of(&h, 2), h.x_row, 1, m.values);
    copy(&h, self->dy, h.y_first, h.y_row, 1, m.deltas);
    turn(&h, m.keys, m.turned_keys);
    turn(&h, m.values, m.turned_values);
    for (size_t query = 0, step = queries_of_block(&h); query < h.tokens; query += step)
        backward_queries(&h, &m, query, smaller(step, h.tokens - query));
    for (size_t key = 0; key < h.tokens; key++) {
        store(&h, m.dkeys + key * h.width, 1, self->dx, part_of(&h, 1) + key * h.x_row);
        store(&h, m.dvalues + key * h.width, 1, self->dx, part_of(&h, 2) + key * h.x_row);
    }
}
