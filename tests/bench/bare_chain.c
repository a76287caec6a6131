#include "bare_chain.h"

#include "base/clock.h"

#include <dnnl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(call)                                                                                 \
    do {                                                                                           \
        dnnl_status_t status_ = (call);                                                            \
        if (status_ != dnnl_success) {                                                             \
            fprintf(stderr, "bare_chain.c:%d: %s: oneDNN status %d\n", __LINE__, #call, status_);  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { LAYERS = 4, CONV1 = 0, CONV2, FC1, FC2, MAX_NODES = 48, MAX_ARGUMENTS = 6, CLASSES = 10 };

typedef dnnl_memory_desc_t desc;

typedef struct node {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arguments[MAX_ARGUMENTS];
    int count;
} node;

typedef struct list {
    node nodes[MAX_NODES];
    int count;
} list;

/* One layer: the shape of its primitives, and where its parameters lie in the flat arrays. */
typedef struct layer {
    desc x, y, weights, bias, canonical; /* weights: the masters', which the gradient has too */
    dnnl_memory_t master, dmaster, dbias, bias_memory;
    dnnl_memory_t forward_weights, backward_weights; /* the masters, or a copy in other blocks */
    size_t first, first_bias;                        /* in floats */
} layer;

struct bare_chain {
    int batch;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    layer layers[LAYERS];
    list forward, backward, refresh;
    dnnl_memory_t input, logits, dlogits;
    float *parameters, *gradients, *first_moment, *second_moment;
    size_t parameter_count; /* with padding */
    int step;
};

/* --- memory */

static desc describe(int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag) {
    desc made;
    MUST(dnnl_memory_desc_init_by_tag(&made, rank, dims, dnnl_f32, tag));
    return made;
}

static desc image(int n, int c, int side, dnnl_format_tag_t tag) {
    return describe(4, (dnnl_dims_t){n, c, side, side}, tag);
}

static dnnl_memory_t memory_at(bare_chain *self, const desc *what, void *handle) {
    dnnl_memory_t made;
    MUST(dnnl_memory_create(&made, what, self->engine, handle));
    return made;
}

static dnnl_memory_t memory(bare_chain *self, const desc *what) {
    size_t bytes = (dnnl_memory_desc_get_size(what) + 63) / 64 * 64;
    void *handle = aligned_alloc(64, bytes ? bytes : 64);
    if (!handle)
        abort();
    memset(handle, 0, bytes);
    return memory_at(self, what, handle);
}

static desc query(const_dnnl_primitive_desc_t from, dnnl_query_t what) {
    return *dnnl_primitive_desc_query_md(from, what, 0);
}

/* --- nodes */

typedef struct argument {
    int name;
    dnnl_memory_t memory;
} argument;

static void push(list *to, dnnl_primitive_desc_t description, const argument *arguments,
                 int count) {
    node *made = &to->nodes[to->count++];
    MUST(dnnl_primitive_create(&made->primitive, description));
    for (int i = 0; i < count; i++)
        made->arguments[i] = (dnnl_exec_arg_t){arguments[i].name, arguments[i].memory};
    made->count = count;
    if (getenv("BARE_CHAIN_VERBOSE")) {
        const char *name;
        MUST(dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0, &name));
        fprintf(stderr, "bare chain: %s\n", name);
    }
}

static void run(bare_chain *self, const list *nodes) {
    for (int i = 0; i < nodes->count; i++)
        MUST(dnnl_primitive_execute(nodes->nodes[i].primitive, self->stream, nodes->nodes[i].count,
                                    nodes->nodes[i].arguments));
}

static dnnl_primitive_desc_t create(bare_chain *self, const void *operation, bool relu,
                                    const_dnnl_primitive_desc_t hint) {
    dnnl_primitive_attr_t attribute;
    dnnl_primitive_desc_t made;
    MUST(dnnl_primitive_attr_create(&attribute));
    if (relu) {
        dnnl_post_ops_t post;
        MUST(dnnl_post_ops_create(&post));
        MUST(dnnl_post_ops_append_eltwise(post, 1, dnnl_eltwise_relu, 0, 0));
        MUST(dnnl_primitive_attr_set_post_ops(attribute, post));
        dnnl_post_ops_destroy(post);
    }
    MUST(dnnl_primitive_desc_create(&made, operation, attribute, self->engine, hint));
    dnnl_primitive_attr_destroy(attribute);
    return made;
}

/* Copies `from` to `to` once, or as a node of `nodes`. */
static void reorder(bare_chain *self, dnnl_memory_t from, dnnl_memory_t to, list *nodes) {
    const desc *source, *target;
    dnnl_primitive_desc_t description;
    list once = {0};
    MUST(dnnl_memory_get_memory_desc(from, &source));
    MUST(dnnl_memory_get_memory_desc(to, &target));
    MUST(dnnl_reorder_primitive_desc_create(&description, source, self->engine, target,
                                            self->engine, NULL));
    push(nodes ? nodes : &once, description, (argument[]){{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}},
         2);
    dnnl_primitive_desc_destroy(description);
    if (nodes)
        return;
    run(self, &once);
    dnnl_primitive_destroy(once.nodes[0].primitive);
}

/* --- primitive descriptions of a layer. Weights are `any` where not yet known. */

static const dnnl_dims_t ones = {1, 1};

static dnnl_primitive_desc_t forward_of(bare_chain *self, int index, const desc *weights) {
    const layer *l = &self->layers[index];
    dnnl_convolution_desc_t convolution;
    dnnl_inner_product_desc_t product;
    if (index >= FC1) {
        MUST(dnnl_inner_product_forward_desc_init(&product, dnnl_forward_training, &l->x, weights,
                                                  &l->bias, &l->y));
        return create(self, &product, index == FC1, NULL);
    }
    MUST(dnnl_convolution_forward_desc_init(&convolution, dnnl_forward_training,
                                            dnnl_convolution_direct, &l->x, weights, &l->bias,
                                            &l->y, ones, ones, ones));
    return create(self, &convolution, true, NULL);
}

static dnnl_primitive_desc_t data_of(bare_chain *self, int index, const desc *weights,
                                     const_dnnl_primitive_desc_t hint) {
    const layer *l = &self->layers[index];
    dnnl_convolution_desc_t convolution;
    dnnl_inner_product_desc_t product;
    if (index >= FC1) {
        MUST(dnnl_inner_product_backward_data_desc_init(&product, &l->x, weights, &l->y));
        return create(self, &product, false, hint);
    }
    MUST(dnnl_convolution_backward_data_desc_init(&convolution, dnnl_convolution_direct, &l->x,
                                                  weights, &l->y, ones, ones, ones));
    return create(self, &convolution, false, hint);
}

static dnnl_primitive_desc_t weights_of(bare_chain *self, int index, const desc *weights,
                                        const_dnnl_primitive_desc_t hint) {
    const layer *l = &self->layers[index];
    dnnl_convolution_desc_t convolution;
    dnnl_inner_product_desc_t product;
    if (index >= FC1) {
        MUST(dnnl_inner_product_backward_weights_desc_init(&product, &l->x, weights, &l->bias,
                                                           &l->y));
        return create(self, &product, false, hint);
    }
    MUST(dnnl_convolution_backward_weights_desc_init(&convolution, dnnl_convolution_direct, &l->x,
                                                     weights, &l->bias, &l->y, ones, ones, ones));
    return create(self, &convolution, false, hint);
}

/* The layers' shapes, and the masters' layout: the gradient's favourite for a convolution; for a
 * linear layer, whose repacking would cost more than it brings, the plain one. */
static void plan_layers(bare_chain *self) {
    static const int out[] = {64, 128, 512, 10}, in[] = {3, 64, 128, 512}, taps[] = {3, 3, 8, 1};
    int n = self->batch;
    size_t canonical = 0;
    self->layers[CONV1].x = image(n, 3, 32, dnnl_nchw);
    self->layers[CONV1].y = image(n, 64, 32, dnnl_nChw16c);
    self->layers[CONV2].x = image(n, 64, 16, dnnl_nChw16c);
    self->layers[CONV2].y = image(n, 128, 16, dnnl_nChw16c);
    self->layers[FC1].x = image(n, 128, 8, dnnl_nhwc);
    self->layers[FC1].y = describe(2, (dnnl_dims_t){n, 512}, dnnl_ab);
    self->layers[FC2].x = image(n, 512, 1, dnnl_nhwc);
    self->layers[FC2].y = describe(2, (dnnl_dims_t){n, CLASSES}, dnnl_ab);
    for (int i = 0; i < LAYERS; i++) {
        layer *l = &self->layers[i];
        dnnl_dims_t dims = {out[i], in[i], taps[i], taps[i]};
        desc any = describe(4, dims, dnnl_format_tag_any);
        l->canonical = describe(4, dims, dnnl_acdb);
        l->bias = describe(1, (dnnl_dims_t){out[i]}, dnnl_a);
        l->weights = l->canonical;
        if (i < FC1) {
            dnnl_primitive_desc_t forward = forward_of(self, i, &any);
            dnnl_primitive_desc_t gradient = weights_of(self, i, &any, forward);
            l->weights = query(gradient, dnnl_query_diff_weights_md);
            dnnl_primitive_desc_destroy(gradient), dnnl_primitive_desc_destroy(forward);
        }
        l->first = self->parameter_count;
        self->parameter_count += (dnnl_memory_desc_get_size(&l->weights) + 63) / 64 * 16;
        l->first_bias = self->parameter_count;
        self->parameter_count += (dnnl_memory_desc_get_size(&l->bias) + 63) / 64 * 16;
        canonical += dnnl_memory_desc_get_size(&l->canonical);
    }
}

static float *flat(const bare_chain *self) {
    float *made = aligned_alloc(64, self->parameter_count * sizeof *made);
    if (!made)
        abort();
    memset(made, 0, self->parameter_count * sizeof *made);
    return made;
}

/* Masters and gradients are views of the flat arrays; the values come from canonical ones. */
static void place_parameters(bare_chain *self, const float *canonical) {
    self->parameters = flat(self), self->gradients = flat(self);
    self->first_moment = flat(self), self->second_moment = flat(self);
    for (int i = 0; i < LAYERS; i++) {
        layer *l = &self->layers[i];
        size_t count = dnnl_memory_desc_get_size(&l->canonical) / sizeof(float);
        size_t outputs = dnnl_memory_desc_get_size(&l->bias) / sizeof(float);
        dnnl_memory_t source = memory_at(self, &l->canonical, (void *)canonical);
        l->master = memory_at(self, &l->weights, self->parameters + l->first);
        l->dmaster = memory_at(self, &l->weights, self->gradients + l->first);
        l->bias_memory = memory_at(self, &l->bias, self->parameters + l->first_bias);
        l->dbias = memory_at(self, &l->bias, self->gradients + l->first_bias);
        reorder(self, source, l->master, NULL);
        dnnl_memory_destroy(source);
        memcpy(self->parameters + l->first_bias, canonical + count, outputs * sizeof(float));
        canonical += count + outputs;
    }
}

/* The masters themselves where the primitive takes their layout, or a copy that each step
 * refreshes. */
static dnnl_memory_t weights_in(bare_chain *self, const layer *l, const desc *wanted) {
    if (dnnl_memory_desc_equal(wanted, &l->weights))
        return l->master;
    dnnl_memory_t copy = memory(self, wanted);
    reorder(self, l->master, copy, &self->refresh);
    return copy;
}

/* --- building. `x` and `y` are a layer's input and output, `dx` and `dy` their gradients. */

typedef struct tensors {
    dnnl_memory_t x, y, dx, dy;
} tensors;

static dnnl_primitive_desc_t push_forward(bare_chain *self, int index, const tensors *t) {
    layer *l = &self->layers[index];
    dnnl_dims_t dims;
    memcpy(dims, l->canonical.dims, sizeof dims);
    desc any = index < FC1 ? describe(4, dims, dnnl_format_tag_any) : l->weights;
    dnnl_primitive_desc_t made = forward_of(self, index, &any);
    desc wanted = query(made, dnnl_query_weights_md);
    push(&self->forward, made,
         (argument[]){{DNNL_ARG_SRC, t->x},
                      {DNNL_ARG_WEIGHTS, weights_in(self, l, &wanted)},
                      {DNNL_ARG_BIAS, l->bias_memory},
                      {DNNL_ARG_DST, t->y}},
         4);
    return made;
}

static void push_backward(bare_chain *self, int index, const tensors *t,
                          const_dnnl_primitive_desc_t hint) {
    layer *l = &self->layers[index];
    dnnl_dims_t dims;
    memcpy(dims, l->canonical.dims, sizeof dims);
    desc any = index < FC1 ? describe(4, dims, dnnl_format_tag_any) : l->weights;
    dnnl_primitive_desc_t gradient = weights_of(self, index, &l->weights, hint);
    push(&self->backward, gradient,
         (argument[]){{DNNL_ARG_SRC, t->x},
                      {DNNL_ARG_DIFF_DST, t->dy},
                      {DNNL_ARG_DIFF_WEIGHTS, l->dmaster},
                      {DNNL_ARG_DIFF_BIAS, l->dbias}},
         4);
    dnnl_primitive_desc_destroy(gradient);
    if (index == CONV1)
        return;
    dnnl_primitive_desc_t data = data_of(self, index, &any, hint);
    desc wanted = query(data, dnnl_query_weights_md);
    push(&self->backward, data,
         (argument[]){{DNNL_ARG_DIFF_DST, t->dy},
                      {DNNL_ARG_WEIGHTS, weights_in(self, l, &wanted)},
                      {DNNL_ARG_DIFF_SRC, t->dx}},
         3);
    dnnl_primitive_desc_destroy(data);
}

/* The mask of a ReLU whose output is `y`, in place on its gradient. */
static void push_relu_backward(bare_chain *self, const desc *what, dnnl_memory_t y,
                               dnnl_memory_t gradient) {
    dnnl_eltwise_desc_t ahead, back;
    MUST(dnnl_eltwise_forward_desc_init(&ahead, dnnl_forward_training,
                                        dnnl_eltwise_relu_use_dst_for_bwd, what, 0, 0));
    MUST(dnnl_eltwise_backward_desc_init(&back, dnnl_eltwise_relu_use_dst_for_bwd, what, what, 0,
                                         0));
    dnnl_primitive_desc_t forward = create(self, &ahead, false, NULL);
    dnnl_primitive_desc_t backward = create(self, &back, false, forward);
    push(&self->backward, backward,
         (argument[]){
             {DNNL_ARG_DST, y}, {DNNL_ARG_DIFF_DST, gradient}, {DNNL_ARG_DIFF_SRC, gradient}},
         3);
    dnnl_primitive_desc_destroy(forward), dnnl_primitive_desc_destroy(backward);
}

typedef struct pool {
    dnnl_primitive_desc_t forward, backward;
    dnnl_memory_t workspace;
} pool;

static pool push_pool(bare_chain *self, const desc *from, const desc *to, const tensors *t) {
    static const dnnl_dims_t twos = {2, 2}, zeros = {0, 0};
    dnnl_pooling_desc_t ahead, back;
    pool made;
    MUST(dnnl_pooling_forward_desc_init(&ahead, dnnl_forward_training, dnnl_pooling_max, from, to,
                                        twos, twos, zeros, zeros));
    MUST(dnnl_pooling_backward_desc_init(&back, dnnl_pooling_max, from, to, twos, twos, zeros,
                                         zeros));
    made.forward = create(self, &ahead, false, NULL);
    made.backward = create(self, &back, false, made.forward);
    desc workspace = query(made.forward, dnnl_query_workspace_md);
    made.workspace = memory(self, &workspace);
    push(&self->forward, made.forward,
         (argument[]){
             {DNNL_ARG_SRC, t->x}, {DNNL_ARG_DST, t->y}, {DNNL_ARG_WORKSPACE, made.workspace}},
         3);
    return made;
}

static void push_pool_backward(bare_chain *self, pool *from, const tensors *t) {
    push(&self->backward, from->backward,
         (argument[]){{DNNL_ARG_DIFF_DST, t->dy},
                      {DNNL_ARG_WORKSPACE, from->workspace},
                      {DNNL_ARG_DIFF_SRC, t->dx}},
         3);
    dnnl_primitive_desc_destroy(from->forward), dnnl_primitive_desc_destroy(from->backward);
}

static tensors tensors_of(bare_chain *self, dnnl_memory_t x, dnnl_memory_t dx, const desc *y) {
    return (tensors){.x = x, .dx = dx, .y = memory(self, y), .dy = memory(self, y)};
}

/* pool2's output goes to fc1 in the order of its plain weights: by a reorder, both ways. */
static void build(bare_chain *self) {
    layer *l = self->layers;
    desc pooled1 = l[CONV2].x, pooled2 = image(self->batch, 128, 8, dnnl_nChw16c);
    self->input = memory(self, &l[CONV1].x);
    tensors conv1 = tensors_of(self, self->input, NULL, &l[CONV1].y);
    dnnl_primitive_desc_t hint1 = push_forward(self, CONV1, &conv1);
    tensors pool1 = tensors_of(self, conv1.y, conv1.dy, &pooled1);
    pool first = push_pool(self, &l[CONV1].y, &pooled1, &pool1);
    tensors conv2 = tensors_of(self, pool1.y, pool1.dy, &l[CONV2].y);
    dnnl_primitive_desc_t hint2 = push_forward(self, CONV2, &conv2);
    tensors pool2 = tensors_of(self, conv2.y, conv2.dy, &pooled2);
    pool second = push_pool(self, &l[CONV2].y, &pooled2, &pool2);
    tensors flat = tensors_of(self, pool2.y, pool2.dy, &l[FC1].x);
    reorder(self, flat.x, flat.y, &self->forward);
    tensors fc1 = tensors_of(self, flat.y, flat.dy, &l[FC1].y);
    dnnl_primitive_desc_t hint3 = push_forward(self, FC1, &fc1);
    void *hidden, *dhidden; /* fc1's output, seen as fc2's input of 512 channels and one pixel */
    MUST(dnnl_memory_get_data_handle(fc1.y, &hidden));
    MUST(dnnl_memory_get_data_handle(fc1.dy, &dhidden));
    tensors fc2 = tensors_of(self, memory_at(self, &l[FC2].x, hidden),
                             memory_at(self, &l[FC2].x, dhidden), &l[FC2].y);
    dnnl_primitive_desc_t hint4 = push_forward(self, FC2, &fc2);
    self->logits = fc2.y, self->dlogits = fc2.dy;

    push_backward(self, FC2, &fc2, hint4);
    push_relu_backward(self, &l[FC1].y, fc1.y, fc1.dy);
    push_backward(self, FC1, &fc1, hint3);
    reorder(self, flat.dy, flat.dx, &self->backward);
    /* A pooled value is positive exactly when its winner is: masking it is masking the winner. */
    push_relu_backward(self, &pooled2, pool2.y, pool2.dy);
    push_pool_backward(self, &second, &pool2);
    push_backward(self, CONV2, &conv2, hint2);
    push_relu_backward(self, &pooled1, pool1.y, pool1.dy);
    push_pool_backward(self, &first, &pool1);
    push_backward(self, CONV1, &conv1, hint1);
    dnnl_primitive_desc_t hints[] = {hint1, hint2, hint3, hint4};
    for (int i = 0; i < 4; i++)
        dnnl_primitive_desc_destroy(hints[i]);
}

bare_chain *bare_chain_open(int batch, const float *parameters) {
    bare_chain *self = calloc(1, sizeof *self);
    if (!self)
        abort();
    self->batch = batch;
    MUST(dnnl_engine_create(&self->engine, dnnl_cpu, 0));
    MUST(dnnl_stream_create(&self->stream, self->engine, dnnl_stream_default_flags));
    plan_layers(self);
    place_parameters(self, parameters);
    build(self);
    run(self, &self->refresh);
    return self;
}

static void list_close(list *self) {
    for (int i = 0; i < self->count; i++)
        dnnl_primitive_destroy(self->nodes[i].primitive);
}

/* The memory objects of a bench go with the process. */
void bare_chain_close(bare_chain *self) {
    list_close(&self->forward), list_close(&self->backward), list_close(&self->refresh);
    free(self->parameters), free(self->gradients);
    free(self->first_moment), free(self->second_moment);
    free(self);
}

/* --- a step */

static double loss(bare_chain *self, const int32_t *labels) {
    void *from, *to;
    double sum = 0;
    MUST(dnnl_memory_get_data_handle(self->logits, &from));
    MUST(dnnl_memory_get_data_handle(self->dlogits, &to));
    for (int n = 0; n < self->batch; n++) {
        const float *row = (const float *)from + n * CLASSES;
        float *gradient = (float *)to + n * CLASSES, largest = row[0], total = 0;
        for (int c = 1; c < CLASSES; c++)
            largest = fmaxf(largest, row[c]);
        for (int c = 0; c < CLASSES; c++)
            total += gradient[c] = expf(row[c] - largest);
        for (int c = 0; c < CLASSES; c++)
            gradient[c] = (gradient[c] / total - (c == labels[n])) / (float)self->batch;
        sum += (double)(logf(total) + largest - row[labels[n]]);
    }
    return sum / self->batch;
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("default", "avx2", "avx512f"), optimize("O3")))
#endif
static void
adam_part(float *restrict w, const float *restrict g, float *restrict m, float *restrict v,
          size_t count, float rate, float correction) {
    for (size_t i = 0; i < count; i++) {
        m[i] = 0.9f * m[i] + 0.1f * g[i];
        v[i] = 0.999f * v[i] + 0.001f * g[i] * g[i];
        w[i] -= rate * m[i] / (sqrtf(v[i]) * correction + 1e-8f);
    }
}

static void adam(bare_chain *self) {
    self->step++;
    float rate = (float)(1e-3 / (1 - pow(0.9, self->step)));
    float correction = (float)(1 / sqrt(1 - pow(0.999, self->step)));
    enum { PART = 4096 };
#pragma omp parallel for schedule(static)
    for (size_t at = 0; at < self->parameter_count; at += PART) {
        size_t left = self->parameter_count - at;
        adam_part(self->parameters + at, self->gradients + at, self->first_moment + at,
                  self->second_moment + at, left < PART ? left : PART, rate, correction);
    }
}

double bare_chain_step(bare_chain *self, const float *images, const int32_t *labels) {
    MUST(dnnl_memory_set_data_handle(self->input, (void *)images));
    run(self, &self->forward);
    double mean = loss(self, labels);
    run(self, &self->backward);
    adam(self);
    run(self, &self->refresh);
    return mean;
}

double sgemm_seconds(int size) {
    static float *a, *b, *c;
    size_t bytes = (size_t)size * (size_t)size * sizeof(float);
    if (!a) {
        a = aligned_alloc(64, bytes), b = aligned_alloc(64, bytes), c = aligned_alloc(64, bytes);
        if (!a || !b || !c)
            abort();
        for (size_t i = 0; i < bytes / sizeof(float); i++)
            a[i] = 1.0f + (float)(i % 7), b[i] = 1.0f / (float)(1 + i % 5), c[i] = 0;
    }
    double start = clock_seconds();
    MUST(dnnl_sgemm('N', 'N', size, size, size, 1, a, size, b, size, 0, c, size));
    return clock_seconds() - start;
}
