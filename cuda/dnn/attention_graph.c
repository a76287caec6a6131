#include "cuda/dnn/attention_graph.h"

#include <math.h>

const char *attention_direction_name(attention_direction direction) {
    static const char *const names[] = {"attention", "attention-backward"};
    return names[direction];
}

static int set_key(attention_problem *self, ls_error *error) {
    const attention_shape *shape = &self->shape;
    return dnn_problem_set_key(&self->base, error, "%s n%d t%d h%d d%d %s", self->base.name,
                               shape->n, shape->tokens, shape->heads, shape->head_dim,
                               dtype_name(shape->type));
}

/* --- tensors: [n, heads, rows, columns], in that order */

static dnn_tensor lies(dnn_tensor self, const int64_t sizes[4], const int64_t strides[4]) {
    self.dimensions = 4;
    for (int index = 0; index < 4; index++) {
        self.sizes[index] = sizes[index];
        self.strides[index] = strides[index];
    }
    return self;
}

/* Of each head's tokens, side by side in rows of `parts` * heads * head_dim. */
static dnn_tensor of_tokens(const attention_shape *s, const char *name, int slot,
                            dnn_tensor_kind kind, int parts) {
    int64_t row = (int64_t)parts * s->heads * s->head_dim;
    return lies(
        (dnn_tensor){.name = name, .kind = kind, .slot = slot, .type = s->type, .stored = s->type},
        (int64_t[]){s->n, s->heads, s->tokens, s->head_dim},
        (int64_t[]){row * s->tokens, s->head_dim, row, 1});
}

static dnn_tensor transposed(dnn_tensor self) {
    int64_t size = self.sizes[2], stride = self.strides[2];
    self.sizes[2] = self.sizes[3], self.strides[2] = self.strides[3];
    self.sizes[3] = size, self.strides[3] = stride;
    return self;
}

/* Dense; `between` operations where it has no slot. */
static dnn_tensor dense(const attention_shape *s, dtype type, int64_t columns) {
    return lies((dnn_tensor){.name = "between", .kind = DNN_VIRTUAL, .type = type, .stored = type},
                (int64_t[]){s->n, s->heads, s->tokens, columns},
                (int64_t[]){s->heads * (s->tokens * columns), s->tokens * columns, columns, 1});
}

static dnn_tensor at_slot(dnn_tensor self, const char *name, int slot, dnn_tensor_kind kind) {
    self.name = name;
    self.slot = slot;
    self.kind = kind;
    return self;
}

static dnn_tensor scalar(float value) {
    return lies(
        (dnn_tensor){.name = "a factor", .kind = DNN_SCALAR, .type = DTYPE_F32, .value = value},
        (int64_t[]){1, 1, 1, 1}, (int64_t[]){1, 1, 1, 1});
}

static dnn_tensor scale_of(const attention_shape *shape) {
    return scalar((float)(1 / sqrt((double)shape->head_dim)));
}

typedef cudnnBackendDescriptor_t tensor;

static int add(dnn_graph *graph, dnn_tensor made, tensor *out, ls_error *error) {
    return dnn_graph_add_tensor(graph, &made, out, error);
}

/* *out = mode(from[, with]), with the sizes of the dense tensor `made`. */
static int point(dnn_graph *graph, cudnnPointwiseMode_t mode, tensor from, tensor with,
                 dnn_tensor made, tensor *out, ls_error *error) {
    LS_TRY(add(graph, made, out, error));
    return dnn_graph_add_pointwise(graph, "of attention", mode, from, with, *out, error);
}

/* *out = Q * transposed K * scale. */
static int add_scores(const attention_shape *s, dnn_graph *graph, tensor query, tensor key,
                      tensor factor, tensor *out, ls_error *error) {
    tensor product;
    LS_TRY(add(graph, dense(s, DTYPE_F32, s->tokens), &product, error));
    LS_TRY(dnn_graph_add_matmul(graph, "queries * keys", query, key, product, error));
    return point(graph, CUDNN_POINTWISE_MUL, product, factor, dense(s, DTYPE_F32, s->tokens), out,
                 error);
}

static int build_forward(const attention_problem *self, dnn_graph *graph, ls_error *error) {
    const attention_shape *s = &self->shape;
    dnn_tensor row = dense(s, DTYPE_F32, 1), square = dense(s, DTYPE_F32, s->tokens);
    tensor query, key, value, y, statistics, factor, scores, most, away, power, sum, log, weights;
    LS_TRY(add(graph, of_tokens(s, "queries", ATTENTION_QUERY, DNN_INPUT, 3), &query, error));
    LS_TRY(add(graph, transposed(of_tokens(s, "keys", ATTENTION_KEY, DNN_INPUT, 3)), &key, error));
    LS_TRY(add(graph, of_tokens(s, "values", ATTENTION_VALUE, DNN_INPUT, 3), &value, error));
    LS_TRY(add(graph, scale_of(s), &factor, error));
    LS_TRY(add_scores(s, graph, query, key, factor, &scores, error));
    LS_TRY(add(graph, row, &most, error));
    LS_TRY(
        dnn_graph_add_reduction(graph, "the most", CUDNN_REDUCE_TENSOR_MAX, scores, most, error));
    LS_TRY(point(graph, CUDNN_POINTWISE_SUB, scores, most, square, &away, error));
    LS_TRY(point(graph, CUDNN_POINTWISE_EXP, away, NULL, square, &power, error));
    LS_TRY(add(graph, row, &sum, error));
    LS_TRY(dnn_graph_add_reduction(graph, "the sum", CUDNN_REDUCE_TENSOR_ADD, power, sum, error));
    LS_TRY(point(graph, CUDNN_POINTWISE_LOG, sum, NULL, row, &log, error));
    LS_TRY(point(graph, CUDNN_POINTWISE_ADD, most, log,
                 at_slot(row, "statistics", ATTENTION_STATISTICS, DNN_OUTPUT), &statistics, error));
    LS_TRY(point(graph, CUDNN_POINTWISE_DIV, power, sum, dense(s, s->type, s->tokens), &weights,
                 error));
    LS_TRY(add(graph, of_tokens(s, "output", ATTENTION_OUTPUT, DNN_OUTPUT, 1), &y, error));
    return dnn_graph_add_matmul(graph, "weights * values", weights, value, y, error);
}

/* What backward's chains read of each other. */
typedef struct backward_chain {
    const attention_shape *shape;
    dnn_graph *graph;
    tensor query, key, value, y, dy, statistics, factor;
    tensor sums;    /* of dy * y */
    tensor weights; /* before they are rounded */
    tensor dscores; /* rounded */
} backward_chain;

/* Keys and values transposed. */
static int add_inputs(backward_chain *c, ls_error *error) {
    const attention_shape *s = c->shape;
    LS_TRY(add(c->graph, of_tokens(s, "queries", ATTENTION_QUERY, DNN_INPUT, 3), &c->query, error));
    LS_TRY(add(c->graph, transposed(of_tokens(s, "keys", ATTENTION_KEY, DNN_INPUT, 3)), &c->key,
               error));
    LS_TRY(add(c->graph, transposed(of_tokens(s, "values", ATTENTION_VALUE, DNN_INPUT, 3)),
               &c->value, error));
    LS_TRY(add(c->graph, of_tokens(s, "output", ATTENTION_OUTPUT, DNN_INPUT, 1), &c->y, error));
    LS_TRY(
        add(c->graph, of_tokens(s, "gradient", ATTENTION_GRADIENT, DNN_INPUT, 1), &c->dy, error));
    LS_TRY(add(c->graph,
               at_slot(dense(s, DTYPE_F32, 1), "statistics", ATTENTION_STATISTICS, DNN_INPUT),
               &c->statistics, error));
    return add(c->graph, scale_of(s), &c->factor, error);
}

/* The engines know the sums by a factor behind them, which is dropout's. */
static int add_sums(backward_chain *c, ls_error *error) {
    dnn_tensor row = dense(c->shape, DTYPE_F32, 1);
    tensor one, product, sum;
    LS_TRY(add(c->graph, scalar(1), &one, error));
    LS_TRY(point(c->graph, CUDNN_POINTWISE_MUL, c->dy, c->y,
                 dense(c->shape, DTYPE_F32, c->shape->head_dim), &product, error));
    LS_TRY(add(c->graph, row, &sum, error));
    LS_TRY(dnn_graph_add_reduction(c->graph, "sums of dy * y", CUDNN_REDUCE_TENSOR_ADD, product,
                                   sum, error));
    return point(c->graph, CUDNN_POINTWISE_MUL, sum, one,
                 at_slot(row, "sums", ATTENTION_SUMS, DNN_OUTPUT), &c->sums, error);
}

/* gradient = transposed `left` * right, a part of dx. */
static int add_part(backward_chain *c, const char *name, int slot, tensor left, tensor right,
                    ls_error *error) {
    const attention_shape *s = c->shape;
    tensor turned, gradient;
    LS_TRY(add(c->graph, transposed(dense(s, s->type, s->tokens)), &turned, error));
    LS_TRY(dnn_graph_add_reshape(c->graph, name, left, turned, error));
    LS_TRY(add(c->graph, of_tokens(s, name, slot, DNN_OUTPUT, 3), &gradient, error));
    return dnn_graph_add_matmul(c->graph, name, turned, right, gradient, error);
}

/* The weights again, and dV. */
static int add_weights(backward_chain *c, ls_error *error) {
    dnn_tensor square = dense(c->shape, DTYPE_F32, c->shape->tokens);
    tensor scores, away;
    LS_TRY(add_scores(c->shape, c->graph, c->query, c->key, c->factor, &scores, error));
    LS_TRY(point(c->graph, CUDNN_POINTWISE_SUB, scores, c->statistics, square, &away, error));
    LS_TRY(point(c->graph, CUDNN_POINTWISE_EXP, away, NULL, square, &c->weights, error));
    return add_part(c, "values' gradient", ATTENTION_DVALUE, c->weights, c->dy, error);
}

/* The scores' gradient, and dK. */
static int add_dscores(backward_chain *c, ls_error *error) {
    const attention_shape *s = c->shape;
    dnn_tensor square = dense(s, DTYPE_F32, s->tokens);
    tensor dweights, away, weighted;
    LS_TRY(add(c->graph, square, &dweights, error));
    LS_TRY(dnn_graph_add_matmul(c->graph, "gradient * values", c->dy, c->value, dweights, error));
    LS_TRY(point(c->graph, CUDNN_POINTWISE_SUB, dweights, c->sums, square, &away, error));
    LS_TRY(point(c->graph, CUDNN_POINTWISE_MUL, away, c->weights, square, &weighted, error));
    LS_TRY(point(c->graph, CUDNN_POINTWISE_MUL, weighted, c->factor, dense(s, s->type, s->tokens),
                 &c->dscores, error));
    return add_part(c, "keys' gradient", ATTENTION_DKEY, c->dscores, c->query, error);
}

static int add_dquery(backward_chain *c, ls_error *error) {
    dnn_tensor keys = of_tokens(c->shape, "keys", 0, DNN_VIRTUAL, 3);
    tensor turned, dquery;
    LS_TRY(add(c->graph, keys, &turned, error));
    LS_TRY(dnn_graph_add_reshape(c->graph, "keys", c->key, turned, error));
    LS_TRY(add(c->graph, of_tokens(c->shape, "queries' gradient", ATTENTION_DQUERY, DNN_OUTPUT, 3),
               &dquery, error));
    return dnn_graph_add_matmul(c->graph, "queries' gradient", c->dscores, turned, dquery, error);
}

static int build_backward(const attention_problem *self, dnn_graph *graph, ls_error *error) {
    backward_chain chain = {.shape = &self->shape, .graph = graph};
    LS_TRY(add_inputs(&chain, error));
    LS_TRY(add_sums(&chain, error));
    LS_TRY(add_weights(&chain, error));
    LS_TRY(add_dscores(&chain, error));
    return add_dquery(&chain, error);
}

static int build(const dnn_problem *base, dtype form, dnn_graph *graph, ls_error *error) {
    const attention_problem *self = (const attention_problem *)base;
    (void)form;
    return self->direction == ATTENTION_FORWARD ? build_forward(self, graph, error)
                                                : build_backward(self, graph, error);
}

int attention_problem_init(const attention_shape *shape, attention_direction direction,
                           attention_problem *out, ls_error *error) {
    *out = (attention_problem){.base = {.what = "attention",
                                        .name = attention_direction_name(direction),
                                        .sums = {shape->type, false},
                                        .forms = {shape->type},
                                        .form_count = 1,
                                        .build = build},
                               .shape = *shape,
                               .direction = direction};
    return set_key(out, error);
}
