/* cuDNN's stand-in: what an operation graph computes. It knows the program's convolutions, with
 * bias and perhaps ReLU, and their two gradients, channels last, sums in fp32; and what begins with
 * anything else operation by operation (cudnn_operations.c). */
#include "cudnn_emulated.h"

#include <string.h>

typedef struct direction_names {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t convolution, x, w, y, alpha, beta;
} direction_names;

static const direction_names directions[] = {
    [DNN_FORWARD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    [DNN_BACKWARD_DATA] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    [DNN_BACKWARD_WEIGHTS] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

dnn_tensor dnn_read_tensor(const dnn_descriptor *from) {
    int64_t count;
    const bool *is_virtual = dnn_find(from, CUDNN_ATTR_TENSOR_IS_VIRTUAL, &count);
    dnn_tensor self = {.uid = dnn_int64(from, CUDNN_ATTR_TENSOR_UNIQUE_ID, 0),
                       .alignment = dnn_int64(from, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0),
                       .is_virtual = is_virtual && *is_virtual};
    memcpy(self.sizes, dnn_find(from, CUDNN_ATTR_TENSOR_DIMENSIONS, &count), sizeof self.sizes);
    memcpy(self.strides, dnn_find(from, CUDNN_ATTR_TENSOR_STRIDES, &count), sizeof self.strides);
    memcpy(&self.type, dnn_find(from, CUDNN_ATTR_TENSOR_DATA_TYPE, &count), sizeof self.type);
    return self;
}

static bool is_channels_last(const dnn_tensor *self) {
    const int64_t *sizes = self->sizes, *strides = self->strides;
    return strides[1] == 1 && strides[3] == sizes[1] && strides[2] == sizes[3] * sizes[1] &&
           strides[0] == sizes[2] * sizes[3] * sizes[1];
}

static bool type_of(cudnnDataType_t type, dtype *out) {
    *out = type == CUDNN_DATA_BFLOAT16 ? DTYPE_BF16
           : type == CUDNN_DATA_HALF   ? DTYPE_F16
                                       : DTYPE_F32;
    return type == CUDNN_DATA_BFLOAT16 || type == CUDNN_DATA_HALF || type == CUDNN_DATA_FLOAT;
}

static bool is_float(const dnn_descriptor *from, cudnnBackendAttributeName_t name) {
    int64_t count;
    const cudnnDataType_t *type = dnn_find(from, name, &count);
    return type && *type == CUDNN_DATA_FLOAT;
}

static float factor(const dnn_descriptor *operation, cudnnBackendAttributeName_t name) {
    int64_t count;
    return *(const float *)dnn_find(operation, name, &count);
}

/* x's, w's and y's sizes make one convolution. */
static cudnnStatus_t read_shape(const dnn_descriptor *convolution, dnn_problem *problem) {
    int64_t count;
    const int64_t *strides = dnn_find(convolution, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, &count);
    const int64_t *before = dnn_find(convolution, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, &count);
    const int64_t *after = dnn_find(convolution, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, &count);
    const int64_t *dilations = dnn_find(convolution, CUDNN_ATTR_CONVOLUTION_DILATIONS, &count);
    const cudnnConvolutionMode_t *mode =
        dnn_find(convolution, CUDNN_ATTR_CONVOLUTION_CONV_MODE, &count);
    const int64_t *x = problem->x.sizes, *w = problem->w.sizes, *y = problem->y.sizes;
    if (*mode != CUDNN_CROSS_CORRELATION)
        emulated_violation("cudnn: a convolution that turns its kernel round");
    if (dilations[0] != 1 || dilations[1] != 1 || strides[0] != strides[1] ||
        before[0] != before[1] || after[0] != before[0] || after[1] != before[1] || w[2] != w[3] ||
        !is_float(convolution, CUDNN_ATTR_CONVOLUTION_COMP_TYPE))
        return dnn_not_supported("a convolution that the stand-in does not know");
    for (int side = 2; side < 4; side++)
        if (y[side] != (x[side] + 2 * before[0] - w[side]) / strides[0] + 1)
            emulated_violation("cudnn: y is %lld wide or high where x, w and the padding make %lld",
                               (long long)y[side],
                               (long long)((x[side] + 2 * before[0] - w[side]) / strides[0] + 1));
    if (x[0] != y[0] || x[1] != w[1] || w[0] != y[1])
        emulated_violation("cudnn: the channels or images of x, w and y do not fit together");
    problem->shape = (conv2d_shape){.n = (int)x[0],
                                    .height = (int)x[2],
                                    .width = (int)x[3],
                                    .in_channels = (int)x[1],
                                    .out_channels = (int)y[1],
                                    .kernel = (int)w[2],
                                    .stride = (int)strides[0],
                                    .padding = (int)before[0],
                                    .in_layout = LAYOUT_NHWC,
                                    .out_layout = LAYOUT_NHWC};
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t read_convolution(const dnn_descriptor *operation, dnn_problem *out) {
    const direction_names *names = NULL;
    for (int index = 0; index < 3; index++)
        if (directions[index].type == operation->type) {
            names = &directions[index];
            out->direction = (dnn_direction)index;
        }
    if (!names)
        return dnn_not_supported("a graph that does not begin with a convolution");
    if (factor(operation, names->alpha) != 1 || factor(operation, names->beta) != 0)
        return dnn_not_supported("factors other than 1 and 0");
    out->x = dnn_read_tensor(dnn_reference(operation, names->x));
    out->w = dnn_read_tensor(dnn_reference(operation, names->w));
    out->y = dnn_read_tensor(dnn_reference(operation, names->y));
    return read_shape(dnn_reference(operation, names->convolution), out);
}

/* An operation of forward behind the convolution: reads what the one before it wrote. */
static cudnnStatus_t read_pointwise(const dnn_descriptor *operation, dnn_problem *problem) {
    int64_t count;
    if (operation->type != CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
        return dnn_not_supported("a graph of two convolutions");
    const dnn_descriptor *kind =
        dnn_reference(operation, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    const cudnnPointwiseMode_t *mode = dnn_find(kind, CUDNN_ATTR_POINTWISE_MODE, &count);
    const dnn_descriptor *with = dnn_reference(operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
    dnn_tensor from =
        dnn_read_tensor(dnn_reference(operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC));
    dnn_tensor to = dnn_read_tensor(dnn_reference(operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
    if (from.uid != problem->y.uid || !from.is_virtual)
        return dnn_not_supported("an operation that does not read what the one before it wrote");
    if (from.type != CUDNN_DATA_FLOAT || !is_float(kind, CUDNN_ATTR_POINTWISE_MATH_PREC))
        return dnn_not_supported("rounded between two operations");
    if (memcmp(from.sizes, to.sizes, sizeof to.sizes) != 0)
        emulated_violation("cudnn: bias or ReLU with another shape behind it");
    problem->y = to;
    if (*mode == CUDNN_POINTWISE_RELU_FWD && !with && !problem->shape.activation) {
        problem->shape.activation = ACTIVATION_RELU;
        return CUDNN_STATUS_SUCCESS;
    }
    if (*mode != CUDNN_POINTWISE_ADD || !with || problem->has_bias || problem->shape.activation)
        return dnn_not_supported("an operation that the stand-in does not know");
    problem->bias = dnn_read_tensor(with);
    problem->has_bias = true;
    const int64_t expected[4] = {1, to.sizes[1], 1, 1};
    if (memcmp(problem->bias.sizes, expected, sizeof expected) != 0)
        emulated_violation("cudnn: the bias is not one value a channel");
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_types(dnn_problem *problem) {
    const dnn_tensor *parameter =
        problem->direction == DNN_BACKWARD_WEIGHTS ? &problem->w : &problem->bias;
    bool has_parameter = problem->direction == DNN_BACKWARD_WEIGHTS || problem->has_bias;
    dtype w;
    if (!type_of(problem->x.type, &problem->shape.type) || !type_of(problem->w.type, &w) ||
        problem->y.type != problem->x.type ||
        (problem->direction != DNN_BACKWARD_WEIGHTS && problem->w.type != problem->x.type))
        return dnn_not_supported("types that no engine has together");
    problem->parameter_type = problem->shape.type;
    if (has_parameter &&
        (!type_of(parameter->type, &problem->parameter_type) ||
         (problem->parameter_type != problem->shape.type && problem->parameter_type != DTYPE_F32)))
        return dnn_not_supported("a bias or dw of a type that no engine has");
    const dnn_tensor *tensors[] = {&problem->x, &problem->w, &problem->y};
    for (int index = 0; index < 3; index++)
        if (!is_channels_last(tensors[index]) || tensors[index]->is_virtual)
            return dnn_not_supported("a tensor that is not channels last, or has no memory");
    return CUDNN_STATUS_SUCCESS;
}

static bool is_convolution(const dnn_descriptor *operation) {
    for (size_t index = 0; index < sizeof directions / sizeof directions[0]; index++)
        if (directions[index].type == operation->type)
            return true;
    return false;
}

/* Engines ask for the type of the factors: that of the first tensor which is read. */
static cudnnStatus_t recognise_operations(dnn_descriptor *const *operations, int64_t count,
                                          dnn_problem *out) {
    cudnnStatus_t status = dnn_read_operations(operations, count, &out->operations);
    if (status == CUDNN_STATUS_SUCCESS &&
        !type_of(out->operations.operands[0].tensor.type, &out->shape.type))
        return dnn_not_supported("a type that no engine has");
    out->parameter_type = out->shape.type;
    return status;
}

cudnnStatus_t dnn_recognise(dnn_descriptor *const *operations, int64_t count, dnn_problem *out) {
    memset(out, 0, sizeof *out);
    if (!is_convolution(operations[0]))
        return recognise_operations(operations, count, out);
    cudnnStatus_t status = read_convolution(operations[0], out);
    for (int64_t index = 1; status == CUDNN_STATUS_SUCCESS && index < count; index++)
        status = out->direction == DNN_FORWARD ? read_pointwise(operations[index], out)
                                               : dnn_not_supported("a fused gradient");
    return status == CUDNN_STATUS_SUCCESS ? check_types(out) : status;
}
