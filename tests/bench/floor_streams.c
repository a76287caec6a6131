/* The ops that only move memory, at 64 MiB and more: our kernels, whose share of the copy
 * bandwidth has a bar. */
#include "floor.h"

typedef struct stream_case {
    floor_bench *bench;
    size_t count;
    dtype type;
    void *a, *b;
    float *moments[2], *gradients;
    double *sum;
    fingerprint *print;
    step_state *state;
    float *rate;
    uint8_t *images;
    int32_t *labels, *out_labels;
    int64_t *order;
    int image_count;
    loss_totals *totals;
} stream_case;

static int call_cast(void *context, ls_error *error) {
    stream_case *c = context;
    return c->bench->ops->cast(c->bench->device, c->bench->stream, c->count, DTYPE_F32, c->a,
                               c->type, c->b, error);
}

static int call_add(void *context, ls_error *error) {
    stream_case *c = context;
    return c->bench->ops->add(c->bench->device, c->bench->stream, c->count, c->type, c->a, c->b,
                              error);
}

static int call_relu_backward(void *context, ls_error *error) {
    stream_case *c = context;
    return c->bench->ops->relu_backward(c->bench->device, c->bench->stream, c->count, c->type, c->a,
                                        c->b, error);
}

static int call_sums_of_squares(void *context, ls_error *error) {
    stream_case *c = context;
    return c->bench->ops->sums_of_squares(c->bench->device, c->bench->stream, c->a, c->count,
                                          c->sum, error);
}

static int call_fingerprint(void *context, ls_error *error) {
    stream_case *c = context;
    return c->bench->ops->fingerprint(c->bench->device, c->bench->stream, c->a, 0, c->count,
                                      c->print, error);
}

static int call_check_finite(void *context, ls_error *error) {
    stream_case *c = context;
    return c->bench->ops->check_finite(c->bench->device, c->bench->stream, c->a, c->count, c->state,
                                       error);
}

static int call_adam(void *context, ls_error *error) {
    stream_case *c = context;
    const adam_constants constants = {.beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f};
    update_arguments arguments = {.parameters = c->a,
                                  .gradients = c->gradients,
                                  .moments = {c->moments[0], c->moments[1]},
                                  .rates = c->rate,
                                  .rate_count = 1,
                                  .state = c->state};
    parameter_range range = {.count = c->count, .rate_scale = 1};
    return c->bench->ops->adam(c->bench->device, c->bench->stream, &constants, &arguments, &range,
                               1, error);
}

static tensor_layout batch_layout(const stream_case *self) {
    return self->bench->ops->choose_layout(self->bench->device, LAYOUT_ROLE_INPUT, 3, self->type);
}

static int call_make_batch(void *context, ls_error *error) {
    stream_case *c = context;
    batch_arguments arguments = {.images = c->images,
                                 .labels = c->labels,
                                 .order = c->order,
                                 .state = c->state,
                                 .count = c->image_count,
                                 .height = 32,
                                 .width = 32,
                                 .channels = 3,
                                 .layout = batch_layout(c),
                                 .type = c->type,
                                 .scale = 2.0f / 255,
                                 .shift = -1,
                                 .out = c->b,
                                 .out_labels = c->out_labels};
    return c->bench->ops->make_batch(c->bench->device, c->bench->stream, &arguments, error);
}

static int call_loss(void *context, ls_error *error) {
    stream_case *c = context;
    int n = (int)(c->count / 10);
    loss_arguments arguments = {.n = n,
                                .classes = 10,
                                .type = c->type,
                                .logits = c->a,
                                .labels = c->labels,
                                .gradient_scale = 1.0f / (float)n,
                                .state = c->state,
                                .dlogits = c->b,
                                .totals = c->totals};
    return c->bench->ops->softmax_cross_entropy(c->bench->device, c->bench->stream, &arguments,
                                                error);
}

static void add_row(stream_case *c, const char *op, double bytes_an_element, bool ours,
                    floor_call call) {
    char shape[64];
    double bytes = bytes_an_element * (double)c->count;
    snprintf(shape, sizeof shape, "%.1f MiB", bytes / 1048576);
    floor_row(c->bench, op, shape, bytes, 0, ours, floor_seconds(c->bench, call, c));
}

static void row(stream_case *c, const char *op, double bytes_an_element, floor_call call) {
    add_row(c, op, bytes_an_element, true, call);
}

static void run_elements(floor_bench *b, size_t count) {
    stream_case c = {.bench = b, .count = count, .type = precision_type(b->precision)};
    double e = (double)dtype_bytes(c.type);
    c.a = floor_array(b, count, DTYPE_F32), c.b = floor_array(b, count, DTYPE_F32);
    c.sum = floor_bytes(b, squares_grains(count) * sizeof *c.sum),
    c.state = floor_bytes(b, sizeof *c.state);
    c.print = floor_bytes(b, sizeof *c.print);
    if (c.type != DTYPE_F32)
        row(&c, "cast from fp32", 4 + e, call_cast);
    else {
        row(&c, "sums of squares", 4, call_sums_of_squares);
        row(&c, "check finite", 4, call_check_finite);
        add_row(&c, "fingerprint", 4, false,
                call_fingerprint); /* some 40 instructions an element */
    }
    row(&c, "relu backward", 3 * e, call_relu_backward);
    row(&c, "add", 3 * e, call_add);
    void *all[] = {c.a, c.b, c.sum, c.state, c.print};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        floor_release(b, all[i]);
}

static void run_adam(floor_bench *b, size_t count) {
    stream_case c = {.bench = b, .count = count, .state = floor_bytes(b, sizeof *c.state)};
    c.a = floor_array(b, count, DTYPE_F32), c.gradients = floor_array(b, count, DTYPE_F32);
    for (int i = 0; i < 2; i++)
        c.moments[i] = floor_bytes(b, count * sizeof(float));
    step_state state = {.loss_scale = 1};
    const float rate = 1e-3f;
    ls_error error = {0};
    c.rate = floor_bytes(b, sizeof rate);
    floor_must(b->device->is->copy(b->device, b->stream, c.state, &state, sizeof state,
                                   COPY_HOST_TO_DEVICE, &error),
               &error);
    floor_must(b->device->is->copy(b->device, b->stream, c.rate, &rate, sizeof rate,
                                   COPY_HOST_TO_DEVICE, &error),
               &error);
    floor_must(b->device->is->stream_synchronize(b->device, b->stream, &error), &error);
    row(&c, "adam", 28, call_adam); /* parameter and two moments both ways, the gradient once */
    void *all[] = {c.a, c.gradients, c.moments[0], c.moments[1], c.state, c.rate};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        floor_release(b, all[i]);
}

static void fill_order(stream_case *c) {
    enum { MOST = 1 << 16 };
    static int64_t order[MOST];
    ls_error error = {0};
    floor_bench *b = c->bench;
    /* An odd stride walks a power of two all over. */
    for (int i = 0; i < c->image_count; i++)
        order[i] = (int64_t)i * 40503 % c->image_count;
    floor_must(b->device->is->copy(b->device, b->stream, c->order, order,
                                   (size_t)c->image_count * sizeof *order, COPY_HOST_TO_DEVICE,
                                   &error),
               &error);
    floor_must(b->device->is->stream_synchronize(b->device, b->stream, &error), &error);
}

/* images: a power of two, at most 65536. */
static void run_batch(floor_bench *b, int images) {
    enum { IMAGE = 32 * 32 * 3 };
    stream_case c = {.bench = b,
                     .count = (size_t)images * IMAGE,
                     .image_count = images,
                     .type = precision_type(b->precision)};
    c.images = floor_bytes(b, c.count);
    c.labels = floor_bytes(b, (size_t)images * 4),
    c.out_labels = floor_bytes(b, (size_t)images * 4);
    c.order = floor_bytes(b, (size_t)images * 8), c.state = floor_bytes(b, sizeof *c.state);
    int channels = layout_channels(batch_layout(&c), 3);
    c.b = floor_array(b, c.count / 3 * (size_t)channels, c.type);
    fill_order(&c);
    row(&c, "make batch", 1 + (double)dtype_bytes(c.type) * channels / 3, call_make_batch);
    void *all[] = {c.images, c.labels, c.out_labels, c.order, c.state, c.b};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        floor_release(b, all[i]);
}

static void run_loss(floor_bench *b, size_t samples) {
    stream_case c = {.bench = b, .count = samples * 10, .type = precision_type(b->precision)};
    c.a = floor_array(b, c.count, c.type), c.b = floor_array(b, c.count, c.type);
    c.labels = floor_bytes(b, samples * 4), c.totals = floor_bytes(b, sizeof *c.totals);
    row(&c, "softmax cross-entropy", 2 * (double)dtype_bytes(c.type) + 0.4, call_loss);
    void *all[] = {c.a, c.b, c.labels, c.totals};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        floor_release(b, all[i]);
}

void floor_streams(floor_bench *self) {
    size_t elements = (self->small ? 1 : 64) * (size_t)1048576;
    run_elements(self, elements);
    run_batch(self, self->small ? 256 : 32768);
    run_loss(self, self->small ? 4096 : 4194304);
    if (self->precision == PRECISION_FP32) {
        run_adam(self, elements);
        run_adam(self, 4275594); /* the CNN's parameters */
    }
}
