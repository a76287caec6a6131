/* Convolution as its definition has it: y[n,oh,ow,k] = b[k] + sum over r,s,c of
 * x[n, oh*stride + r - padding, ow*stride + s - padding, c] * w[k,r,s,c], zero outside x. The
 * gradients turn the same sum around: each is written as the sum for one element of its result. */
#include "device/kinds/conv2d.h"
#include "device/ref/ref.h"

const op_kind op_conv2d = {"conv2d"};

typedef struct ref_conv2d_plan {
    plan base;
    conv2d_shape shape;
} ref_conv2d_plan;

static const conv2d_shape *shape_of(const plan *self) {
    return &((const ref_conv2d_plan *)self)->shape;
}

static int output_size(int input, const conv2d_shape *shape) {
    return (input + 2 * shape->padding - shape->kernel) / shape->stride + 1;
}

static ref_shape input_of(const conv2d_shape *shape) {
    return (ref_shape){shape->n, shape->height, shape->width, shape->in_channels};
}

static ref_shape output_of(const conv2d_shape *shape) {
    return (ref_shape){shape->n, output_size(shape->height, shape),
                       output_size(shape->width, shape), shape->out_channels};
}

static size_t weight_index(const conv2d_shape *shape, int k, int r, int s, int c) {
    size_t kernel = (size_t)shape->kernel;
    return (((size_t)k * kernel + (size_t)r) * kernel + (size_t)s) * (size_t)shape->in_channels +
           (size_t)c;
}

static bool is_inside(int h, int w, ref_shape shape) {
    return h >= 0 && h < shape.height && w >= 0 && w < shape.width;
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const conv2d_shape *shape = wanted;
    LS_TRY(ref_check_type("conv2d", shape->type, error));
    LS_TRY(plan_refuse_activation(self, shape->activation, error));
    ref_shape output = output_of(shape);
    if (shape->height + 2 * shape->padding < shape->kernel ||
        shape->width + 2 * shape->padding < shape->kernel || output.height < 1 || output.width < 1)
        return ls_fail(error, LS_FAILED,
                       "device ref: conv2d: a kernel of %d does not fit an input of %d x %d with "
                       "padding %d",
                       shape->kernel, shape->height, shape->width, shape->padding);
    ((ref_conv2d_plan *)self)->shape = *shape;
    text_add(&self->description, "ref");
    return LS_OK;
}

static double forward_sum(const conv2d_shape *shape, const void *x, const float *weights, int n,
                          int oh, int ow, int k) {
    ref_shape input = input_of(shape);
    double sum = 0;
    for (int r = 0; r < shape->kernel; r++)
        for (int s = 0; s < shape->kernel; s++) {
            int h = oh * shape->stride + r - shape->padding;
            int w = ow * shape->stride + s - shape->padding;
            if (!is_inside(h, w, input))
                continue;
            for (int c = 0; c < shape->in_channels; c++)
                sum += ref_load(shape->type, x, ref_index_of(shape->in_layout, input, n, h, w, c)) *
                       ref_weight(shape->type, weights[weight_index(shape, k, r, s, c)]);
        }
    return sum;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const conv2d_shape *shape = shape_of(self);
    ref_shape output = output_of(shape);
    for (int n = 0; n < output.n; n++)
        for (int oh = 0; oh < output.height; oh++)
            for (int ow = 0; ow < output.width; ow++)
                for (int k = 0; k < output.channels; k++) {
                    double value = forward_sum(shape, a->x[0], a->parameters[0], n, oh, ow, k);
                    if (!shape->no_bias)
                        value += (double)a->parameters[1][k];
                    if (shape->activation == ACTIVATION_RELU && value < 0)
                        value = 0;
                    ref_store(shape->type, a->y,
                              ref_index_of(shape->out_layout, output, n, oh, ow, k), value);
                }
    return LS_OK;
}

/* dx[n,h,w,c]: every output whose window covers (h, w). */
static double backward_data_sum(const conv2d_shape *shape, const void *dy, const float *weights,
                                int n, int h, int w, int c) {
    ref_shape output = output_of(shape);
    double sum = 0;
    for (int r = 0; r < shape->kernel; r++)
        for (int s = 0; s < shape->kernel; s++) {
            int down = h + shape->padding - r, right = w + shape->padding - s;
            if (down % shape->stride || right % shape->stride)
                continue;
            int oh = down / shape->stride, ow = right / shape->stride;
            if (!is_inside(oh, ow, output))
                continue;
            for (int k = 0; k < shape->out_channels; k++)
                sum += ref_load(shape->type, dy,
                                ref_index_of(shape->out_layout, output, n, oh, ow, k)) *
                       ref_weight(shape->type, weights[weight_index(shape, k, r, s, c)]);
        }
    return sum;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const conv2d_shape *shape = shape_of(self);
    ref_shape input = input_of(shape);
    for (int n = 0; n < input.n; n++)
        for (int h = 0; h < input.height; h++)
            for (int w = 0; w < input.width; w++)
                for (int c = 0; c < input.channels; c++)
                    ref_store(shape->type, a->dx[0],
                              ref_index_of(shape->in_layout, input, n, h, w, c),
                              backward_data_sum(shape, a->dy, a->parameters[0], n, h, w, c));
    return LS_OK;
}

/* dw[k,r,s,c]: every output position. */
static double backward_weight_sum(const conv2d_shape *shape, const void *x, const void *dy, int k,
                                  int r, int s, int c) {
    ref_shape input = input_of(shape), output = output_of(shape);
    double sum = 0;
    for (int n = 0; n < output.n; n++)
        for (int oh = 0; oh < output.height; oh++)
            for (int ow = 0; ow < output.width; ow++) {
                int h = oh * shape->stride + r - shape->padding;
                int w = ow * shape->stride + s - shape->padding;
                if (is_inside(h, w, input))
                    sum +=
                        ref_load(shape->type, dy,
                                 ref_index_of(shape->out_layout, output, n, oh, ow, k)) *
                        ref_load(shape->type, x, ref_index_of(shape->in_layout, input, n, h, w, c));
            }
    return sum;
}

static double backward_bias_sum(const conv2d_shape *shape, const void *dy, int k) {
    ref_shape output = output_of(shape);
    double sum = 0;
    for (int n = 0; n < output.n; n++)
        for (int oh = 0; oh < output.height; oh++)
            for (int ow = 0; ow < output.width; ow++)
                sum += ref_load(shape->type, dy,
                                ref_index_of(shape->out_layout, output, n, oh, ow, k));
    return sum;
}

static int backward_parameters(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const conv2d_shape *shape = shape_of(self);
    for (int k = 0; k < shape->out_channels; k++) {
        if (!shape->no_bias)
            a->gradients[1][k] = (float)backward_bias_sum(shape, a->dy, k);
        for (int r = 0; r < shape->kernel; r++)
            for (int s = 0; s < shape->kernel; s++)
                for (int c = 0; c < shape->in_channels; c++)
                    a->gradients[0][weight_index(shape, k, r, s, c)] =
                        (float)backward_weight_sum(shape, a->x[0], a->dy, k, r, s, c);
    }
    return LS_OK;
}

const op ref_conv2d = {
    .kind = &op_conv2d,
    .plan_bytes = sizeof(ref_conv2d_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
