/* Attention row by row: a query's scores in double, one row of them at a time, in the workspace. */
#include "device/kinds/attention.h"
#include "device/ref/ref.h"

#include <math.h>
#include <string.h>

const op_kind op_attention = {"attention"};

typedef struct ref_attention_plan {
    plan base;
    attention_shape shape;
} ref_attention_plan;

static const attention_shape *shape_of(const plan *self) {
    return &((const ref_attention_plan *)self)->shape;
}

/* A sample's head: where its values lie. */
typedef struct head {
    const attention_shape *shape;
    size_t sample, number;
} head;

typedef enum { QUERY, KEY, VALUE } part;

static size_t in_x(const head *h, part part, size_t token) {
    const attention_shape *s = h->shape;
    size_t heads = (size_t)s->heads;
    return ((h->sample * (size_t)s->tokens + token) * 3 + (size_t)part) * heads *
               (size_t)s->head_dim +
           h->number * (size_t)s->head_dim;
}

static size_t in_y(const head *h, size_t token) {
    const attention_shape *s = h->shape;
    return ((h->sample * (size_t)s->tokens + token) * (size_t)s->heads + h->number) *
           (size_t)s->head_dim;
}

static double scale_of(const attention_shape *shape) {
    return 1 / sqrt((double)shape->head_dim);
}

/* In the workspace of backward: the gradients of a head's keys and values, [tokens][head_dim]. */
typedef struct scratch {
    double *row, *dkeys, *dvalues;
} scratch;

static size_t head_values(const attention_shape *shape) {
    return (size_t)shape->tokens * (size_t)shape->head_dim;
}

static scratch scratch_of(const attention_shape *shape, void *workspace) {
    double *at = workspace;
    return (scratch){at, at + shape->tokens, at + (size_t)shape->tokens + head_values(shape)};
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const attention_shape *shape = wanted;
    LS_TRY(ref_check_type("attention", shape->type, error));
    ((ref_attention_plan *)self)->shape = *shape;
    self->saved_bytes =
        (size_t)shape->n * (size_t)shape->heads * (size_t)shape->tokens * sizeof(float);
    plan_need_workspace(self, ((size_t)shape->tokens + 2 * head_values(shape)) * sizeof(double));
    text_add(&self->description, "ref");
    return LS_OK;
}

static double dot(const attention_shape *shape, const void *a, size_t from_a, const void *b,
                  size_t from_b) {
    double sum = 0;
    for (size_t d = 0; d < (size_t)shape->head_dim; d++)
        sum += ref_load(shape->type, a, from_a + d) * ref_load(shape->type, b, from_b + d);
    return sum;
}

/* row[key] = the scores of a query; returns the logarithm of the sum of their exponentials. */
static double scores(const head *h, const void *x, size_t query, double *row) {
    size_t tokens = (size_t)h->shape->tokens;
    double most = -INFINITY, sum = 0;
    for (size_t key = 0; key < tokens; key++) {
        row[key] =
            dot(h->shape, x, in_x(h, QUERY, query), x, in_x(h, KEY, key)) * scale_of(h->shape);
        most = row[key] > most ? row[key] : most;
    }
    for (size_t key = 0; key < tokens; key++)
        sum += exp(row[key] - most);
    return most + log(sum);
}

static float *saved_row(const head *h, void *saved) {
    const attention_shape *s = h->shape;
    return (float *)saved + (h->sample * (size_t)s->heads + h->number) * (size_t)s->tokens;
}

static void forward_head(const head *h, const op_arguments *a, double *row) {
    const attention_shape *s = h->shape;
    for (size_t query = 0; query < (size_t)s->tokens; query++) {
        double log_sum = scores(h, a->x[0], query, row);
        if (a->training)
            saved_row(h, a->saved)[query] = (float)log_sum;
        for (size_t d = 0; d < (size_t)s->head_dim; d++) {
            double sum = 0;
            for (size_t key = 0; key < (size_t)s->tokens; key++)
                sum +=
                    exp(row[key] - log_sum) * ref_load(s->type, a->x[0], in_x(h, VALUE, key) + d);
            ref_store(s->type, a->y, in_y(h, query) + d, sum);
        }
    }
}

/* With p a weight and dp = dy * value: the score's gradient is p * (dp - the mean of dp by p), and
 * that mean is dy * y. The sum of a row's weights is computed again, not taken from the rounded
 * `saved`. */
static void backward_head(const head *h, const op_arguments *a, const scratch *w) {
    const attention_shape *s = h->shape;
    size_t tokens = (size_t)s->tokens, width = (size_t)s->head_dim;
    memset(w->dkeys, 0, 2 * head_values(s) * sizeof(double));
    for (size_t query = 0; query < tokens; query++) {
        double log_sum = scores(h, a->x[0], query, w->row);
        double mean = 0;
        for (size_t key = 0; key < tokens; key++)
            mean += exp(w->row[key] - log_sum) *
                    dot(s, a->dy, in_y(h, query), a->x[0], in_x(h, VALUE, key));
        for (size_t key = 0; key < tokens; key++) {
            double p = exp(w->row[key] - log_sum);
            double dp = dot(s, a->dy, in_y(h, query), a->x[0], in_x(h, VALUE, key));
            w->row[key] = p * (dp - mean) * scale_of(s);
            for (size_t d = 0; d < width; d++) {
                w->dvalues[key * width + d] += p * ref_load(s->type, a->dy, in_y(h, query) + d);
                w->dkeys[key * width + d] +=
                    w->row[key] * ref_load(s->type, a->x[0], in_x(h, QUERY, query) + d);
            }
        }
        for (size_t d = 0; d < width; d++) {
            double sum = 0;
            for (size_t key = 0; key < tokens; key++)
                sum += w->row[key] * ref_load(s->type, a->x[0], in_x(h, KEY, key) + d);
            ref_store(s->type, a->dx[0], in_x(h, QUERY, query) + d, sum);
        }
    }
    for (size_t key = 0; key < tokens; key++)
        for (size_t d = 0; d < width; d++) {
            ref_store(s->type, a->dx[0], in_x(h, KEY, key) + d, w->dkeys[key * width + d]);
            ref_store(s->type, a->dx[0], in_x(h, VALUE, key) + d, w->dvalues[key * width + d]);
        }
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const attention_shape *shape = shape_of(self);
    scratch w = scratch_of(shape, a->workspace);
    for (size_t sample = 0; sample < (size_t)shape->n; sample++)
        for (size_t number = 0; number < (size_t)shape->heads; number++)
            forward_head(&(head){shape, sample, number}, a, w.row);
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const attention_shape *shape = shape_of(self);
    scratch w = scratch_of(shape, a->workspace);
    for (size_t sample = 0; sample < (size_t)shape->n; sample++)
        for (size_t number = 0; number < (size_t)shape->heads; number++)
            backward_head(&(head){shape, sample, number}, a, &w);
    return LS_OK;
}

const op ref_attention = {
    .kind = &op_attention,
    .plan_bytes = sizeof(ref_attention_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
