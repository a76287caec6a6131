#include "conv_graph.h"

#include <stdlib.h>

typedef struct conv_tensor {
    int64_t uid;
    int64_t n, channels, height, width;
    cudnnDataType_t type;
    bool is_virtual; /* between two operations: has no memory */
} conv_tensor;

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

int conv_parameter_types(const conv2d_shape *shape, conv_direction direction, dtype types[2]) {
    types[0] = shape->type;
    types[1] = DTYPE_F32;
    return shape->type == DTYPE_F32 || direction == CONV_BACKWARD_DATA ? 1 : 2;
}

static cudnnDataType_t dnn_type(dtype type) {
    return type == DTYPE_BF16  ? CUDNN_DATA_BFLOAT16
           : type == DTYPE_F16 ? CUDNN_DATA_HALF
                               : CUDNN_DATA_FLOAT;
}

/* CONV_UID_INPUT is x or dx, CONV_UID_OUTPUT y or dy, CONV_UID_WEIGHTS w or dw. */
static conv_tensor tensor_of(const conv_graph *graph, int64_t uid) {
    const conv2d_shape *shape = &graph->shape;
    conv_tensor self = {.uid = uid, .type = dnn_type(shape->type), .n = shape->n};
    switch (uid) {
    case CONV_UID_INPUT:
        self.channels = shape->in_channels;
        self.height = shape->height;
        self.width = shape->width;
        break;
    case CONV_UID_WEIGHTS:
        if (graph->direction == CONV_BACKWARD_WEIGHTS)
            self.type = dnn_type(graph->parameter_type);
        self.n = shape->out_channels;
        self.channels = shape->in_channels;
        self.height = self.width = shape->kernel;
        break;
    case CONV_UID_BIAS:
        self.type = dnn_type(graph->parameter_type);
        self.n = self.height = self.width = 1;
        self.channels = shape->out_channels;
        break;
    default: /* y; or, virtual, y before it is rounded: what forward's operations hand on */
        self.is_virtual = uid != CONV_UID_OUTPUT;
        if (self.is_virtual)
            self.type = CUDNN_DATA_FLOAT;
        self.channels = shape->out_channels;
        self.height = conv_output_size(shape, shape->height);
        self.width = conv_output_size(shape, shape->width);
    }
    return self;
}

size_t conv_tensor_bytes(const conv_graph *graph, int64_t uid) {
    conv_tensor tensor = tensor_of(graph, uid);
    size_t element = tensor.type == CUDNN_DATA_FLOAT ? 4 : 2;
    return (size_t)tensor.n * (size_t)tensor.channels * (size_t)tensor.height *
           (size_t)tensor.width * element;
}

static int own(conv_graph *self, descriptor_builder *builder, cudnnBackendDescriptor_t *out,
               ls_error *error) {
    LS_TRY(descriptor_finish(builder, out, error));
    self->owned[self->owned_count++] = *out;
    return LS_OK;
}

static int add_tensor(conv_graph *self, int64_t uid, cudnnBackendDescriptor_t *out,
                      ls_error *error) {
    conv_tensor tensor = tensor_of(self, uid);
    int64_t sizes[4] = {tensor.n, tensor.channels, tensor.height, tensor.width};
    int64_t strides[4] = {tensor.height * tensor.width * tensor.channels, 1,
                          tensor.width * tensor.channels, tensor.channels};
    descriptor_builder builder = descriptor_begin(CUDNN_BACKEND_TENSOR_DESCRIPTOR, "a tensor");
    descriptor_set_int64(&builder, CUDNN_ATTR_TENSOR_UNIQUE_ID, uid);
    descriptor_set_type(&builder, CUDNN_ATTR_TENSOR_DATA_TYPE, tensor.type);
    descriptor_set(&builder, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, sizes);
    descriptor_set(&builder, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    descriptor_set_int64(&builder, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CONV_ALIGNMENT);
    if (tensor.is_virtual)
        descriptor_set_bool(&builder, CUDNN_ATTR_TENSOR_IS_VIRTUAL, true);
    else
        self->uids[self->uid_count++] = uid;
    return own(self, &builder, out, error);
}

static int add_convolution(conv_graph *self, cudnnBackendDescriptor_t *out, ls_error *error) {
    int64_t ones[2] = {1, 1};
    int64_t strides[2] = {self->shape.stride, self->shape.stride};
    int64_t padding[2] = {self->shape.padding, self->shape.padding};
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
    return own(self, &builder, out, error);
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
static int add_convolve(conv_graph *self, cudnnBackendDescriptor_t result,
                        cudnnBackendDescriptor_t *out, ls_error *error) {
    const direction_attributes *names = &attributes[self->direction];
    cudnnBackendDescriptor_t input, weights, convolution;
    LS_TRY(add_tensor(self, CONV_UID_INPUT, &input, error));
    LS_TRY(add_tensor(self, CONV_UID_WEIGHTS, &weights, error));
    LS_TRY(add_convolution(self, &convolution, error));
    descriptor_builder builder =
        descriptor_begin(names->operation, conv_direction_name(self->direction));
    descriptor_set_descriptor(&builder, names->convolution, convolution);
    descriptor_set_descriptor(&builder, names->input, input);
    descriptor_set_descriptor(&builder, names->weights, weights);
    descriptor_set_descriptor(&builder, names->output, result);
    descriptor_set_float(&builder, names->alpha, 1);
    descriptor_set_float(&builder, names->beta, 0);
    return own(self, &builder, out, error);
}

/* to = mode(from[, with]) */
static int add_pointwise(conv_graph *self, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t from,
                         cudnnBackendDescriptor_t with, cudnnBackendDescriptor_t to,
                         cudnnBackendDescriptor_t *out, ls_error *error) {
    cudnnBackendDescriptor_t pointwise;
    descriptor_builder kind = descriptor_begin(CUDNN_BACKEND_POINTWISE_DESCRIPTOR, "bias or ReLU");
    descriptor_set(&kind, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    descriptor_set_type(&kind, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    LS_TRY(own(self, &kind, &pointwise, error));

    descriptor_builder builder =
        descriptor_begin(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "bias or ReLU");
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, pointwise);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, from);
    if (with)
        descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, with);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, to);
    return own(self, &builder, out, error);
}

/* x * w -> [virtual] -> + bias -> ([virtual] -> relu ->) y */
static int add_forward(conv_graph *self, cudnnBackendDescriptor_t *operations, int64_t *count,
                       ls_error *error) {
    cudnnBackendDescriptor_t product, bias, y;
    LS_TRY(add_tensor(self, CONV_UID_VIRTUAL, &product, error));
    LS_TRY(add_convolve(self, product, &operations[0], error));
    LS_TRY(add_tensor(self, CONV_UID_BIAS, &bias, error));
    LS_TRY(add_tensor(self, CONV_UID_OUTPUT, &y, error));
    cudnnBackendDescriptor_t sum = y;
    if (self->shape.relu)
        LS_TRY(add_tensor(self, CONV_UID_VIRTUAL + 1, &sum, error));
    LS_TRY(add_pointwise(self, CUDNN_POINTWISE_ADD, product, bias, sum, &operations[1], error));
    if (self->shape.relu)
        LS_TRY(add_pointwise(self, CUDNN_POINTWISE_RELU_FWD, sum, NULL, y, &operations[2], error));
    *count = self->shape.relu ? 3 : 2;
    return LS_OK;
}

static int add_backward(conv_graph *self, cudnnBackendDescriptor_t *operations, int64_t *count,
                        ls_error *error) {
    cudnnBackendDescriptor_t dy;
    LS_TRY(add_tensor(self, CONV_UID_OUTPUT, &dy, error));
    *count = 1;
    return add_convolve(self, dy, &operations[0], error);
}

static int build(conv_graph *self, ls_error *error) {
    cudnnBackendDescriptor_t operations[3];
    int64_t count;
    if (self->direction == CONV_FORWARD)
        LS_TRY(add_forward(self, operations, &count, error));
    else
        LS_TRY(add_backward(self, operations, &count, error));
    descriptor_builder builder =
        descriptor_begin(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "an operation graph");
    descriptor_set_handle(&builder, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, self->handle);
    descriptor_set(&builder, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count,
                   operations);
    return own(self, &builder, &self->operations, error);
}

int conv_check_shape(const conv2d_shape *shape, ls_error *error) {
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

int conv_graph_create(const conv2d_shape *shape, conv_direction direction, dtype parameter_type,
                      cudnnHandle_t handle, conv_graph **out, ls_error *error) {
    LS_TRY(conv_check_shape(shape, error));
    conv_graph *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of host memory");
    self->shape = *shape;
    self->direction = direction;
    self->parameter_type = parameter_type;
    self->handle = handle;
    int status = build(self, error);
    if (status != LS_OK) {
        conv_graph_destroy(self);
        return status;
    }
    *out = self;
    return LS_OK;
}

void conv_graph_destroy(conv_graph *self) {
    if (!self)
        return;
    while (self->owned_count > 0)
        descriptor_destroy(&self->owned[--self->owned_count]);
    free(self);
}
