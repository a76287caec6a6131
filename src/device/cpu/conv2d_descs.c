/* What oneDNN is told of a convolution's tensors: conv2d_parts.h. */
#include "device/cpu/conv2d_parts.h"

conv2d_descs cpu_conv2d_describe(const conv2d_shape *shape, onednn_algorithm algorithm) {
    int out_height = (shape->height + 2 * shape->padding - shape->kernel) / shape->stride + 1;
    int out_width = (shape->width + 2 * shape->padding - shape->kernel) / shape->stride + 1;
    return (conv2d_descs){.x = onednn_activation(shape->type, shape->in_layout, shape->n,
                                                 shape->height, shape->width, shape->in_channels),
                          .y = onednn_activation(shape->type, shape->out_layout, shape->n,
                                                 out_height, out_width, shape->out_channels),
                          .bias = shape->no_bias ? NULL : onednn_vector(shape->out_channels),
                          .weights_any = onednn_filter_any(shape->type, shape->out_channels,
                                                           shape->in_channels, shape->kernel),
                          .gradient_any = onednn_filter_any(DTYPE_F32, shape->out_channels,
                                                            shape->in_channels, shape->kernel),
                          .canonical = onednn_filter_canonical(shape->out_channels,
                                                               shape->in_channels, shape->kernel),
                          .window = {shape->stride, shape->padding, algorithm}};
}

void cpu_conv2d_forget(const conv2d_descs *descs) {
    onednn_desc made[] = {
        descs->x, descs->y, descs->bias, descs->weights_any, descs->gradient_any, descs->canonical};
    for (size_t index = 0; index < sizeof made / sizeof made[0]; index++)
        onednn_desc_release(made[index]);
}
