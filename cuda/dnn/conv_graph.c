#include "cuda/dnn/conv_graph.h"

const char *conv_direction_name(conv_direction direction) {
    static const char *const names[] = {"forward", "dgrad", "wgrad"};
    return names[direction];
}

int conv_output_size(const conv2d_shape *shape, int input) {
    return (input + 2 * shape->padding - shape->kernel) / shape->stride + 1;
}

size_t conv_weight_count(const conv2d_shape *shape) {
    return (size_t)shape->out_channels * (size_t)shape->kernel * (size_t)shape->kernel *
           (size_t)shape->in_channels;
}

/* "forward n64 h32 w32 c3 k64 r3 s1 p1 bf16 relu", or "... bare" without a bias. What is fused is
 * forward's alone. */
static int set_key(conv_problem *self, ls_error *error) {
    const conv2d_shape *shape = &self->shape;
    return dnn_problem_set_key(
        &self->base, error, "%s n%d h%d w%d c%d k%d r%d s%d p%d %s%s%s", self->base.name, shape->n,
        shape->height, shape->width, shape->in_channels, shape->out_channels, shape->kernel,
        shape->stride, shape->padding,
        shape->type == DTYPE_F32 && shape->tf32 ? "tf32" : dtype_name(shape->type),
        self->direction == CONV_FORWARD && shape->activation == ACTIVATION_RELU ? " relu" : "",
        self->direction == CONV_FORWARD && shape->no_bias ? " bare" : "");
}

/* --- tensors */

static dnn_tensor input_of(const conv_problem *self) {
    const conv2d_shape *shape = &self->shape;
    dnn_tensor input = {.name = "input",
                        .kind = self->direction == CONV_BACKWARD_DATA ? DNN_OUTPUT : DNN_INPUT,
                        .slot = CONV_INPUT,
                        .type = shape->type,
                        .stored = shape->type};
    dnn_tensor_lies_channels_last(&input, shape->n, shape->in_channels, shape->height,
                                  shape->width);
    return input;
}

static dnn_tensor weights_of(const conv_problem *self, dtype form) {
    const conv2d_shape *shape = &self->shape;
    bool gradient = self->direction == CONV_BACKWARD_WEIGHTS;
    dnn_tensor weights = {.name = "weights",
                          .kind = gradient ? DNN_OUTPUT : DNN_INPUT,
                          .slot = CONV_WEIGHTS,
                          .type = gradient ? form : shape->type,
                          .stored = gradient ? DTYPE_F32 : shape->type,
                          .staged = true};
    dnn_tensor_lies_channels_last(&weights, shape->out_channels, shape->in_channels, shape->kernel,
                                  shape->kernel);
    return weights;
}

static dnn_tensor output_of(const conv_problem *self) {
    const conv2d_shape *shape = &self->shape;
    dnn_tensor output = {.name = "output",
                         .kind = self->direction == CONV_FORWARD ? DNN_OUTPUT : DNN_INPUT,
                         .slot = CONV_OUTPUT,
                         .type = shape->type,
                         .stored = shape->type};
    dnn_tensor_lies_channels_last(&output, shape->n, shape->out_channels,
                                  conv_output_size(shape, shape->height),
                                  conv_output_size(shape, shape->width));
    return output;
}

/* y before it is rounded: what forward's operations hand on. */
static dnn_tensor between(const conv_problem *self) {
    dnn_tensor output = output_of(self);
    output.kind = DNN_VIRTUAL;
    output.type = DTYPE_F32;
    return output;
}

static dnn_tensor bias_of(const conv_problem *self, dtype form) {
    dnn_tensor bias = {.name = "bias",
                       .kind = DNN_INPUT,
                       .slot = CONV_BIAS,
                       .type = form,
                       .stored = DTYPE_F32,
                       .staged = true};
    dnn_tensor_lies_channels_last(&bias, 1, self->shape.out_channels, 1, 1);
    return bias;
}

/* --- operations */

static int add_convolution(const conv2d_shape *shape, dnn_graph *graph,
                           cudnnBackendDescriptor_t *out, ls_error *error) {
    int64_t ones[2] = {1, 1};
    int64_t strides[2] = {shape->stride, shape->stride};
    int64_t padding[2] = {shape->padding, shape->padding};
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    descriptor_builder builder =
        descriptor_begin(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, "a convolution");
    descriptor_set_int64(&builder, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2);
    descriptor_set_type(&builder, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    descriptor_set(&builder, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1,
                   &mode);
    descriptor_set(&builder, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, ones);
    descriptor_set(&builder, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, strides);
    descriptor_set(&builder, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, padding);
    descriptor_set(&builder, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, padding);
    return dnn_graph_own(graph, &builder, out, error);
}

/* The names of one direction's attributes. */
typedef struct direction_attributes {
    cudnnBackendDescriptorType_t operation;
    cudnnBackendAttributeName_t convolution, input, weights, output, alpha, beta;
} direction_attributes;

static const direction_attributes attributes[CONV_DIRECTIONS] = {
    [CONV_FORWARD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    [CONV_BACKWARD_DATA] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    [CONV_BACKWARD_WEIGHTS] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

/* `result`: y, dy, or a virtual tensor in its place. */
static int add_convolve(const conv_problem *self, dtype form, dnn_graph *graph,
                        cudnnBackendDescriptor_t result, ls_error *error) {
    const direction_attributes *names = &attributes[self->direction];
    dnn_tensor input_tensor = input_of(self), weights_tensor = weights_of(self, form);
    cudnnBackendDescriptor_t input, weights, convolution;
    LS_TRY(dnn_graph_add_tensor(graph, &input_tensor, &input, error));
    LS_TRY(dnn_graph_add_tensor(graph, &weights_tensor, &weights, error));
    LS_TRY(add_convolution(&self->shape, graph, &convolution, error));
    descriptor_builder builder =
        descriptor_begin(names->operation, conv_direction_name(self->direction));
    descriptor_set_descriptor(&builder, names->convolution, convolution);
    descriptor_set_descriptor(&builder, names->input, input);
    descriptor_set_descriptor(&builder, names->weights, weights);
    descriptor_set_descriptor(&builder, names->output, result);
    descriptor_set_float(&builder, names->alpha, 1);
    descriptor_set_float(&builder, names->beta, 0);
    return dnn_graph_add_operation(graph, &builder, error);
}

/* x * w -> ([virtual] -> relu ->) y */
static int add_bare_forward(const conv_problem *self, dtype form, dnn_graph *graph,
                            ls_error *error) {
    dnn_tensor virtual_tensor = between(self), y_tensor = output_of(self);
    cudnnBackendDescriptor_t product, y;
    LS_TRY(dnn_graph_add_tensor(graph, &y_tensor, &y, error));
    if (self->shape.activation != ACTIVATION_RELU)
        return add_convolve(self, form, graph, y, error);
    LS_TRY(dnn_graph_add_tensor(graph, &virtual_tensor, &product, error));
    LS_TRY(add_convolve(self, form, graph, product, error));
    return dnn_graph_add_pointwise(graph, "ReLU", CUDNN_POINTWISE_RELU_FWD, product, NULL, y,
                                   error);
}

/* x * w -> [virtual] -> + bias -> ([virtual] -> relu ->) y */
static int add_forward(const conv_problem *self, dtype form, dnn_graph *graph, ls_error *error) {
    dnn_tensor virtual_tensor = between(self), bias_tensor = bias_of(self, form),
               y_tensor = output_of(self);
    cudnnBackendDescriptor_t product, bias, y;
    LS_TRY(dnn_graph_add_tensor(graph, &virtual_tensor, &product, error));
    LS_TRY(add_convolve(self, form, graph, product, error));
    LS_TRY(dnn_graph_add_tensor(graph, &bias_tensor, &bias, error));
    LS_TRY(dnn_graph_add_tensor(graph, &y_tensor, &y, error));
    cudnnBackendDescriptor_t sum = y;
    if (self->shape.activation == ACTIVATION_RELU)
        LS_TRY(dnn_graph_add_tensor(graph, &virtual_tensor, &sum, error));
    LS_TRY(dnn_graph_add_pointwise(graph, "bias or ReLU", CUDNN_POINTWISE_ADD, product, bias, sum,
                                   error));
    if (self->shape.activation == ACTIVATION_RELU)
        LS_TRY(dnn_graph_add_pointwise(graph, "bias or ReLU", CUDNN_POINTWISE_RELU_FWD, sum, NULL,
                                       y, error));
    return LS_OK;
}

static int add_backward(const conv_problem *self, dtype form, dnn_graph *graph, ls_error *error) {
    dnn_tensor dy_tensor = output_of(self);
    cudnnBackendDescriptor_t dy;
    LS_TRY(dnn_graph_add_tensor(graph, &dy_tensor, &dy, error));
    return add_convolve(self, form, graph, dy, error);
}

static int build(const dnn_problem *base, dtype form, dnn_graph *graph, ls_error *error) {
    const conv_problem *self = (const conv_problem *)base;
    if (self->direction != CONV_FORWARD)
        return add_backward(self, form, graph, error);
    return self->shape.no_bias ? add_bare_forward(self, form, graph, error)
                               : add_forward(self, form, graph, error);
}

static int check_shape(const conv2d_shape *shape, ls_error *error) {
    if (shape->type != DTYPE_F32 && shape->type != DTYPE_BF16 && shape->type != DTYPE_F16)
        return ls_fail(error, LS_FAILED, "device cuda: conv2d: no convolution of %s",
                       dtype_name(shape->type));
    if (shape->in_layout != LAYOUT_NHWC || shape->out_layout != LAYOUT_NHWC)
        return ls_fail(error, LS_FAILED, "device cuda: conv2d: tensors must be channels last");
    if (shape->n < 1 || shape->in_channels < 1 || shape->out_channels < 1 || shape->stride < 1 ||
        shape->height + 2 * shape->padding < shape->kernel ||
        shape->width + 2 * shape->padding < shape->kernel)
        return ls_fail(error, LS_FAILED,
                       "device cuda: conv2d: a kernel of %d with stride %d does not fit an input "
                       "of [%d, %d, %d, %d] with padding %d",
                       shape->kernel, shape->stride, shape->n, shape->height, shape->width,
                       shape->in_channels, shape->padding);
    return LS_OK;
}

int conv_problem_init(const conv2d_shape *shape, conv_direction direction, conv_problem *out,
                      ls_error *error) {
    LS_TRY(check_shape(shape, error));
    bool two_forms = shape->type != DTYPE_F32 && (direction == CONV_BACKWARD_WEIGHTS ||
                                                  (direction == CONV_FORWARD && !shape->no_bias));
    *out = (conv_problem){.base = {.what = "convolution",
                                   .name = conv_direction_name(direction),
                                   .sums = {shape->type, shape->tf32},
                                   .forms = {shape->type, DTYPE_F32},
                                   .form_count = two_forms ? 2 : 1,
                                   .build = build},
                          .shape = *shape,
                          .direction = direction};
    return set_key(out, error);
}
