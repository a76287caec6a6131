#include "cuda/dnn/conv_kernel.h"
#include "cuda/dnn/conv_graph.h"
#include "cuda/kernels/kernels.h"

cudaError_t conv_kernel(const dnn_problem *problem, cudaStream_t stream,
                        const dnn_pointers *pointers) {
    const conv_problem *self = (const conv_problem *)problem;
    const conv2d_shape *shape = &self->shape;
    const void *input = pointers->at[CONV_INPUT], *output = pointers->at[CONV_OUTPUT];
    const void *weights = pointers->at[CONV_WEIGHTS];
    direct_arguments of = {.n = shape->n,
                           .height = shape->height,
                           .width = shape->width,
                           .channels = shape->in_channels,
                           .out_height = conv_output_size(shape, shape->height),
                           .out_width = conv_output_size(shape, shape->width),
                           .out_channels = shape->out_channels,
                           .kernel = shape->kernel,
                           .stride = shape->stride,
                           .padding = shape->padding,
                           .relu = shape->activation == ACTIVATION_RELU};
    switch (self->direction) {
    case CONV_FORWARD:
        return kernel_convolve(stream, shape->type, &of, input, weights,
                               pointers->at[CONV_KERNEL_BIAS], (void *)output);
    case CONV_BACKWARD_DATA:
        return kernel_convolve_back(stream, shape->type, &of, output, weights, (void *)input);
    default:
        return kernel_convolve_weights(stream, shape->type, &of, input, output,
                                       pointers->low >> CONV_WEIGHTS & 1 ? shape->type : DTYPE_F32,
                                       (void *)weights);
    }
}
