/* A vision transformer's layers that are neither product nor convolution, in vit-b16's sizes: layer
 * norm and attention. Their bytes and FLOP are those of model/work.h. */
#include "floor.h"

#include "device/kinds/attention.h"
#include "device/kinds/layernorm.h"

#include <string.h>

enum { TOKENS = 197, HEADS = 12, HEAD_DIM = 64, CHANNELS = HEADS * HEAD_DIM, PARTS = 3 };

typedef struct token_op {
    floor_bench *bench;
    plan *plan;
    op_arguments a;
    void *owned[12];
    int owned_count;
} token_op;

static void *own(token_op *self, void *memory) {
    return self->owned[self->owned_count++] = memory;
}

/* x of `in` elements, y of `out`; `channels` of two parameters, or 0. */
static void open_op(token_op *self, size_t in, size_t out, size_t channels) {
    floor_bench *b = self->bench;
    dtype type = precision_type(b->precision);
    op_arguments *a = &self->a;
    *a = (op_arguments){.stream = b->stream, .training = true};
    a->x[0] = own(self, floor_array(b, in, type));
    a->dx[0] = own(self, floor_array(b, in, type));
    a->y = own(self, floor_array(b, out, type));
    a->dy = own(self, floor_array(b, out, type));
    a->saved = own(self, floor_bytes(b, self->plan->saved_bytes));
    a->workspace = own(self, floor_bytes(b, self->plan->workspace_bytes));
    for (int parameter = 0; channels && parameter < 2; parameter++) {
        a->parameters[parameter] = own(self, floor_array(b, channels, DTYPE_F32));
        a->gradients[parameter] = own(self, floor_array(b, channels, DTYPE_F32));
    }
}

static void close_op(token_op *self) {
    while (self->owned_count > 0)
        floor_release(self->bench, self->owned[--self->owned_count]);
    plan_release(self->plan);
}

static int call_forward(void *context, ls_error *error) {
    token_op *self = context;
    return self->plan->is->forward(self->plan, &self->a, error);
}

static int call_backward(void *context, ls_error *error) {
    token_op *self = context;
    const op *is = self->plan->is;
    if (is->backward_parameters)
        LS_TRY(is->backward_parameters(self->plan, &self->a, error));
    return is->backward_inputs(self->plan, &self->a, error);
}

static void run_layernorm(floor_bench *b, int n) {
    token_op self = {.bench = b};
    ls_error error = {0};
    dtype type = precision_type(b->precision);
    layernorm_shape shape = {
        .rows = (int64_t)n * TOKENS, .channels = CHANNELS, .type = type, .epsilon = 1e-6};
    size_t count = (size_t)shape.rows * CHANNELS;
    double bytes = (double)count * (double)dtype_bytes(type);
    char text[64];
    floor_must(op_prepare(b->device, &op_layernorm, &shape, NULL, &self.plan, &error), &error);
    open_op(&self, count, count, CHANNELS);
    snprintf(text, sizeof text, "%dx%d", (int)shape.rows, CHANNELS);
    floor_row(b, "layernorm forward", text, 2 * bytes, 0, true,
              floor_seconds(b, call_forward, &self));
    floor_row(b, "layernorm backward", text, 3 * bytes, 0, true,
              floor_seconds(b, call_backward, &self));
    close_op(&self);
}

static void run_attention(floor_bench *b, int n) {
    token_op self = {.bench = b};
    ls_error error = {0};
    dtype type = precision_type(b->precision);
    attention_shape shape = {
        .n = n, .tokens = TOKENS, .heads = HEADS, .head_dim = HEAD_DIM, .type = type};
    size_t count = (size_t)n * TOKENS * CHANNELS;
    double bytes = (double)count * (double)dtype_bytes(type);
    double product = 2.0 * (double)count * TOKENS;
    char text[64];
    floor_must(op_prepare(b->device, &op_attention, &shape, NULL, &self.plan, &error), &error);
    open_op(&self, PARTS * count, count, 0);
    snprintf(text, sizeof text, "%dx%dx%dx%d", n, TOKENS, HEADS, HEAD_DIM);
    floor_row(b, "attention forward", text, 4 * bytes, 2 * product, false,
              floor_seconds(b, call_forward, &self));
    floor_row(b, "attention backward", text, 8 * bytes, 4 * product, false,
              floor_seconds(b, call_backward, &self));
    close_op(&self);
}

void floor_tokens(floor_bench *self) {
    int n = self->small ? 1 : 256;
    run_layernorm(self, n);
    run_attention(self, n);
}
