/* The order in which the primitives run. `x` and `y` are a layer's input and output, `dx` and `dy`
 * their gradients. */
#include "bare_chain_parts.h"

typedef struct tensors {
    dnnl_memory_t x, y, dx, dy;
} tensors;

static dnnl_primitive_desc_t push_forward(bare_chain *self, int index, const tensors *t) {
    layer *l = &self->layers[index];
    desc any = index < FC1 ? l->any : l->weights;
    dnnl_primitive_desc_t made = chain_forward_of(self, index, any);
    desc wanted = chain_query(made, dnnl_query_weights_md);
    chain_push(&self->forward, made,
               (argument[]){{DNNL_ARG_SRC, t->x},
                            {DNNL_ARG_WEIGHTS, chain_weights_in(self, l, wanted)},
                            {DNNL_ARG_BIAS, l->bias_memory},
                            {DNNL_ARG_DST, t->y}},
               4);
    return made;
}

static void push_backward(bare_chain *self, int index, const tensors *t,
                          const_dnnl_primitive_desc_t hint) {
    layer *l = &self->layers[index];
    desc any = index < FC1 ? l->any : l->weights;
    dnnl_primitive_desc_t gradient = chain_weights_of(self, index, l->weights, hint);
    chain_push(&self->backward, gradient,
               (argument[]){{DNNL_ARG_SRC, t->x},
                            {DNNL_ARG_DIFF_DST, t->dy},
                            {DNNL_ARG_DIFF_WEIGHTS, l->dmaster},
                            {DNNL_ARG_DIFF_BIAS, l->dbias}},
               4);
    if (index == CONV1)
        return;
    dnnl_primitive_desc_t data = chain_data_of(self, index, any, hint);
    desc wanted = chain_query(data, dnnl_query_weights_md);
    chain_push(&self->backward, data,
               (argument[]){{DNNL_ARG_DIFF_DST, t->dy},
                            {DNNL_ARG_WEIGHTS, chain_weights_in(self, l, wanted)},
                            {DNNL_ARG_DIFF_SRC, t->dx}},
               3);
}

/* The mask of a ReLU whose output is `y`, in place on its gradient. */
static void push_relu_backward(bare_chain *self, desc what, dnnl_memory_t y,
                               dnnl_memory_t gradient) {
    chain_push(&self->backward, chain_relu_backward(self, what),
               (argument[]){
                   {DNNL_ARG_DST, y}, {DNNL_ARG_DIFF_DST, gradient}, {DNNL_ARG_DIFF_SRC, gradient}},
               3);
}

typedef struct pool {
    dnnl_primitive_desc_t backward;
    dnnl_memory_t workspace;
} pool;

static pool push_pool(bare_chain *self, desc from, desc to, const tensors *t) {
    dnnl_primitive_desc_t forward = chain_pool(self, from, to);
    pool made = {chain_pool_backward(self, from, to, forward),
                 chain_memory(self, chain_query(forward, dnnl_query_workspace_md))};
    chain_push(&self->forward, forward,
               (argument[]){{DNNL_ARG_SRC, t->x},
                            {DNNL_ARG_DST, t->y},
                            {DNNL_ARG_WORKSPACE, made.workspace}},
               3);
    return made;
}

static void push_pool_backward(bare_chain *self, pool *from, const tensors *t) {
    chain_push(&self->backward, from->backward,
               (argument[]){{DNNL_ARG_DIFF_DST, t->dy},
                            {DNNL_ARG_WORKSPACE, from->workspace},
                            {DNNL_ARG_DIFF_SRC, t->dx}},
               3);
}

static tensors tensors_of(bare_chain *self, dnnl_memory_t x, dnnl_memory_t dx, desc y) {
    return (tensors){.x = x, .dx = dx, .y = chain_memory(self, y), .dy = chain_memory(self, y)};
}

/* pool2's output goes to fc1 in the order of its plain weights: by a reorder, both ways. */
void chain_build(bare_chain *self) {
    layer *l = self->layers;
    desc pooled1 = l[CONV2].x, pooled2 = chain_image(self->batch, 128, 8, dnnl_nChw16c);
    self->input = chain_memory(self, l[CONV1].x);
    tensors conv1 = tensors_of(self, self->input, NULL, l[CONV1].y);
    dnnl_primitive_desc_t hint1 = push_forward(self, CONV1, &conv1);
    tensors pool1 = tensors_of(self, conv1.y, conv1.dy, pooled1);
    pool first = push_pool(self, l[CONV1].y, pooled1, &pool1);
    tensors conv2 = tensors_of(self, pool1.y, pool1.dy, l[CONV2].y);
    dnnl_primitive_desc_t hint2 = push_forward(self, CONV2, &conv2);
    tensors pool2 = tensors_of(self, conv2.y, conv2.dy, pooled2);
    pool second = push_pool(self, l[CONV2].y, pooled2, &pool2);
    tensors flat = tensors_of(self, pool2.y, pool2.dy, l[FC1].x);
    chain_reorder(self, flat.x, flat.y, &self->forward);
    tensors fc1 = tensors_of(self, flat.y, flat.dy, l[FC1].y);
    dnnl_primitive_desc_t hint3 = push_forward(self, FC1, &fc1);
    void *hidden, *dhidden; /* fc1's output, seen as fc2's input of 512 channels and one pixel */
    MUST(dnnl_memory_get_data_handle(fc1.y, &hidden));
    MUST(dnnl_memory_get_data_handle(fc1.dy, &dhidden));
    tensors fc2 = tensors_of(self, chain_memory_at(self, l[FC2].x, hidden),
                             chain_memory_at(self, l[FC2].x, dhidden), l[FC2].y);
    dnnl_primitive_desc_t hint4 = push_forward(self, FC2, &fc2);
    self->logits = fc2.y, self->dlogits = fc2.dy;

    push_backward(self, FC2, &fc2, hint4);
    push_relu_backward(self, l[FC1].y, fc1.y, fc1.dy);
    push_backward(self, FC1, &fc1, hint3);
    chain_reorder(self, flat.dy, flat.dx, &self->backward);
    /* A pooled value is positive exactly when its winner is: masking it is masking the winner. */
    push_relu_backward(self, pooled2, pool2.y, pool2.dy);
    push_pool_backward(self, &second, &pool2);
    push_backward(self, CONV2, &conv2, hint2);
    push_relu_backward(self, pooled1, pool1.y, pool1.dy);
    push_pool_backward(self, &first, &pool1);
    push_backward(self, CONV1, &conv1, hint1);
}
