/* Convolution as its definition has it: y[n,oh,ow,k] = b[k] + sum over r,s,c of
 * x[n, oh*stride + r - padding, ow*stride + s - padding, c] * w[k,r,s,c], zero outside x. The
 * gradients turn the same sum around: each is written as the sum for one element of its result. */
#include "device/ref/ref.h"

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

int ref_conv2d_prepare(device *self, const conv2d_shape *shape, const plan *like, plan **out,
                       ls_error *error) {
    (void)self, (void)like;
    LS_TRY(ref_check_type("conv2d", shape->type, error));
    ref_shape output = output_of(shape);
    if (shape->height + 2 * shape->padding < shape->kernel ||
        shape->width + 2 * shape->padding < shape->kernel || output.height < 1 || output.width < 1)
        return ls_fail(error, LS_FAILED,
                       "device ref: conv2d: a kernel of %d does not fit an input of %d x %d with "
                       "padding %d",
                       shape->kernel, shape->height, shape->width, shape->padding);
    return ref_plan_new(&(ref_plan){.op = REF_CONV2D, .conv2d = *shape}, out, error);
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

int ref_conv2d_forward(plan *plan, device_stream *stream, const void *x, const float *weights,
                       const void *packed, const float *bias, void *y, void *workspace,
                       ls_error *error) {
    (void)stream, (void)packed, (void)workspace, (void)error;
    const conv2d_shape *shape = &ref_plan_of(plan)->conv2d;
    ref_shape output = output_of(shape);
    for (int n = 0; n < output.n; n++)
        for (int oh = 0; oh < output.height; oh++)
            for (int ow = 0; ow < output.width; ow++)
                for (int k = 0; k < output.channels; k++) {
                    double value = (double)bias[k] + forward_sum(shape, x, weights, n, oh, ow, k);
                    if (shape->relu && value < 0)
                        value = 0;
                    ref_store(shape->type, y, ref_index_of(shape->out_layout, output, n, oh, ow, k),
                              value);
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

int ref_conv2d_backward_data(plan *plan, device_stream *stream, const void *dy,
                             const float *weights, const void *packed, void *dx, void *workspace,
                             ls_error *error) {
    (void)stream, (void)packed, (void)workspace, (void)error;
    const conv2d_shape *shape = &ref_plan_of(plan)->conv2d;
    ref_shape input = input_of(shape);
    for (int n = 0; n < input.n; n++)
        for (int h = 0; h < input.height; h++)
            for (int w = 0; w < input.width; w++)
                for (int c = 0; c < input.channels; c++)
                    ref_store(shape->type, dx, ref_index_of(shape->in_layout, input, n, h, w, c),
                              backward_data_sum(shape, dy, weights, n, h, w, c));
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

int ref_conv2d_backward_weights(plan *plan, device_stream *stream, const void *x, const void *dy,
                                float *dweights, float *dbias, void *workspace, ls_error *error) {
    (void)stream, (void)workspace, (void)error;
    const conv2d_shape *shape = &ref_plan_of(plan)->conv2d;
    for (int k = 0; k < shape->out_channels; k++) {
        dbias[k] = (float)backward_bias_sum(shape, dy, k);
        for (int r = 0; r < shape->kernel; r++)
            for (int s = 0; s < shape->kernel; s++)
                for (int c = 0; c < shape->in_channels; c++)
                    dweights[weight_index(shape, k, r, s, c)] =
                        (float)backward_weight_sum(shape, x, dy, k, r, s, c);
    }
    return LS_OK;
}
