/* The CNN's layers: each op that its training step calls, at one batch. Their FLOP and bytes are
 * those of model/work.h, as in `train --profile`. */
#include "floor.h"

#include "device/kinds/conv2d.h"
#include "device/kinds/linear.h"
#include "device/kinds/maxpool2d.h"
#include "model/work.h"
#include "tests/support/op_calls.h"

#include <stdlib.h>
#include <string.h>

typedef struct layer {
    floor_bench *bench;
    plan *plan;
    void *x, *y, *dx, *dy, *packed, *workspace, *saved;
    float *weights, *bias, *dweights, *dbias;
} layer;

/* x and y elements; weights 0: a layer without parameters. */
static void open_layer(layer *self, size_t x, size_t y, size_t weights, size_t outputs) {
    floor_bench *b = self->bench;
    dtype type = precision_type(b->precision);
    self->x = floor_array(b, x, type), self->dx = floor_array(b, x, type);
    self->y = floor_array(b, y, type), self->dy = floor_array(b, y, type);
    self->workspace = floor_bytes(b, self->plan->workspace_bytes);
    self->saved = floor_bytes(b, self->plan->saved_bytes);
    if (!weights)
        return;
    ls_error error = {0};
    self->weights = floor_array(b, weights, DTYPE_F32);
    self->dweights = floor_array(b, weights, DTYPE_F32);
    self->bias = floor_array(b, outputs, DTYPE_F32),
    self->dbias = floor_array(b, outputs, DTYPE_F32);
    self->packed = floor_bytes(b, self->plan->packed[0].bytes);
    if (self->packed)
        floor_must(plan_pack(self->plan, b->stream, 0, self->weights, self->packed, &error),
                   &error);
}

static void close_layer(layer *self) {
    void *all[] = {self->x,      self->y,         self->dx,    self->dy,
                   self->packed, self->workspace, self->saved, self->weights,
                   self->bias,   self->dweights,  self->dbias};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        floor_release(self->bench, all[i]);
    plan_release(self->plan);
}

#define CALL(name, ...)                                                                            \
    static int call_##name(void *context, ls_error *error) {                                       \
        layer *l = context;                                                                        \
        return name(l->plan, l->bench->stream, __VA_ARGS__, error);                                \
    }
CALL(weighted_forward, l->x, l->weights, l->packed, l->bias, l->y, l->workspace)
CALL(weighted_backward_inputs, l->dy, l->weights, l->packed, l->dx, l->workspace)
CALL(weighted_backward_parameters, l->x, l->dy, l->dweights, l->dbias, l->workspace)
CALL(pooled_forward, l->x, l->y, l->saved)
CALL(pooled_backward, l->dy, l->y, l->saved, l->dx)

/* Elements of a layer with weights. */
typedef struct sizes {
    size_t x, y, weights, outputs;
    bool need_dx;
} sizes;

/* Of the CNN's layer of this name. */
static work work_of(const floor_bench *self, const char *name, layer_pass_kind pass, int n) {
    static graph cnn;
    ls_error error = {0};
    if (cnn.layer_count == 0)
        floor_must(model_build("cnn", 32, 32, 3, 10, &cnn, &error), &error);
    for (int index = 0; index < cnn.layer_count; index++)
        if (strcmp(cnn.layers[index].name, name) == 0)
            return layer_work(&cnn, index, pass, n, precision_type(self->precision));
    ls_fail(&error, LS_FAILED, "the cnn has no layer %s", name);
    floor_must(error.code, &error);
    return (work){0};
}

static void run_three(layer *self, const char *name, const char *shape, int n, const sizes *s,
                      const floor_call calls[3]) {
    static const char *const passes[] = {"forward", "backward data", "backward weights"};
    for (int pass = 0; pass < 3; pass++) {
        char text[64];
        work needed = work_of(self->bench, name, (layer_pass_kind)pass, n);
        if (pass == PASS_BACKWARD_DATA && !s->need_dx)
            continue;
        snprintf(text, sizeof text, "%s %s", name, passes[pass]);
        floor_row(self->bench, text, shape, needed.bytes, needed.flop, false,
                  floor_seconds(self->bench, calls[pass], self));
    }
}

static void run_conv2d(floor_bench *b, const char *name, int n, int side, int in, int out,
                       bool need_dx) {
    layer self = {.bench = b};
    ls_error error = {0};
    conv2d_shape shape = {.n = n,
                          .height = side,
                          .width = side,
                          .in_channels = in,
                          .out_channels = out,
                          .kernel = 3,
                          .stride = 1,
                          .padding = 1,
                          .activation = ACTIVATION_RELU,
                          .need_dx = need_dx,
                          .type = precision_type(b->precision),
                          .tf32 = b->precision == PRECISION_TF32,
                          .in_layout = b->ops->choose_layout(
                              b->device, need_dx ? LAYOUT_ROLE_IMAGE : LAYOUT_ROLE_INPUT, in,
                              precision_type(b->precision)),
                          .out_layout = b->ops->choose_layout(b->device, LAYOUT_ROLE_IMAGE, out,
                                                              precision_type(b->precision))};
    size_t pixels = (size_t)n * (size_t)side * (size_t)side;
    sizes s = {.x = pixels * (size_t)layout_channels(shape.in_layout, in),
               .y = pixels * (size_t)out,
               .outputs = (size_t)out,
               .weights = 9 * (size_t)in * (size_t)out,
               .need_dx = need_dx};
    floor_must(op_prepare(b->device, &op_conv2d, &shape, NULL, &self.plan, &error), &error);
    open_layer(&self, s.x, s.y, s.weights, s.outputs);
    char text[64];
    snprintf(text, sizeof text, "%dx%dx%dx%d->%d", n, side, side, in, out);
    run_three(&self, name, text, n, &s,
              (floor_call[]){call_weighted_forward, call_weighted_backward_inputs,
                             call_weighted_backward_parameters});
    close_layer(&self);
}

static plan *prepare_linear(floor_bench *b, int n, int in, int out, bool relu) {
    plan *made;
    ls_error error = {0};
    linear_shape shape = {.n = n,
                          .in_features = in,
                          .out_features = out,
                          .activation = relu_where(relu),
                          .need_dx = true,
                          .type = precision_type(b->precision),
                          .tf32 = b->precision == PRECISION_TF32};
    floor_must(op_prepare(b->device, &op_linear, &shape, NULL, &made, &error), &error);
    return made;
}

static void run_linear(floor_bench *b, const char *name, int n, int in, int out) {
    layer self = {.bench = b, .plan = prepare_linear(b, n, in, out, out > 10)};
    sizes s = {.x = (size_t)n * (size_t)in,
               .y = (size_t)n * (size_t)out,
               .outputs = (size_t)out,
               .weights = (size_t)in * (size_t)out,
               .need_dx = true};
    open_layer(&self, s.x, s.y, s.weights, s.outputs);
    char text[64];
    snprintf(text, sizeof text, "%dx%d->%d", n, in, out);
    run_three(&self, name, text, n, &s,
              (floor_call[]){call_weighted_forward, call_weighted_backward_inputs,
                             call_weighted_backward_parameters});
    close_layer(&self);
}

static void run_pool(floor_bench *b, const char *name, int n, int side, int channels) {
    layer self = {.bench = b};
    ls_error error = {0};
    maxpool2d_shape shape = {
        .n = n,
        .height = side,
        .width = side,
        .channels = channels,
        .window = 2,
        .in_layout = b->ops->choose_layout(b->device, LAYOUT_ROLE_IMAGE, channels,
                                           precision_type(b->precision)),
        .out_layout =
            b->ops->choose_layout(b->device, side > 16 ? LAYOUT_ROLE_IMAGE : LAYOUT_ROLE_FLAT,
                                  channels, precision_type(b->precision)),
        .type = precision_type(b->precision),
        .relu_input = true};
    floor_must(op_prepare(b->device, &op_maxpool2d, &shape, NULL, &self.plan, &error), &error);
    size_t x = (size_t)n * (size_t)side * (size_t)side * (size_t)channels, y = x / 4;
    open_layer(&self, x, y, 0, 0);
    double saved = (double)self.plan->saved_bytes; /* of the winners: a device's own */
    char text[64], shape_text[64];
    snprintf(shape_text, sizeof shape_text, "%dx%dx%dx%d", n, side, side, channels);
    snprintf(text, sizeof text, "%s forward", name);
    floor_row(b, text, shape_text, work_of(b, name, PASS_FORWARD, n).bytes + saved, 0, true,
              floor_seconds(b, call_pooled_forward, &self));
    snprintf(text, sizeof text, "%s backward", name);
    floor_row(b, text, shape_text, work_of(b, name, PASS_BACKWARD_DATA, n).bytes + saved, 0, true,
              floor_seconds(b, call_pooled_backward, &self));
    close_layer(&self);
}

void floor_layers(floor_bench *self, int batch) {
    run_conv2d(self, "conv1", batch, 32, 3, 64, false);
    run_pool(self, "pool1", batch, 32, 64);
    run_conv2d(self, "conv2", batch, 16, 64, 128, true);
    run_pool(self, "pool2", batch, 16, 128);
    run_linear(self, "fc1", batch, 8192, 512);
    run_linear(self, "fc2", batch, 512, 10);
}

double floor_product_rate(floor_bench *self) {
    int n = self->small ? 512 : self->precision == PRECISION_FP32 ? 4096 : 8192;
    size_t square = (size_t)n * (size_t)n;
    layer l = {.bench = self, .plan = prepare_linear(self, n, n, n, false)};
    open_layer(&l, square, square, square, (size_t)n);
    double seconds = floor_seconds(self, call_weighted_forward, &l);
    close_layer(&l);
    return 2.0 * (double)square * n / seconds;
}
