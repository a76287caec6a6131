/* Convolution (cross-correlation, as every framework's "convolution").
 * x [n,h,w,in], parameters: weight [out,kh,kw,in] and, unless `no_bias`, bias [out],
 * y [n,oh,ow,out] with oh = (h + 2 * padding - kernel) / stride + 1, rounded down. Where
 * activations are bf16 or fp16, a device may round the bias to that type before it adds it, and the
 * weight's gradient before it stores it. */
#ifndef LOCKSTEP_DEVICE_KINDS_CONV2D_H
#define LOCKSTEP_DEVICE_KINDS_CONV2D_H

#include "device/op.h"

typedef struct conv2d_shape {
    int n, height, width, in_channels; /* input */
    int out_channels, kernel, stride, padding;
    tensor_layout in_layout, out_layout;
    dtype type; /* of activations */
    bool tf32;  /* type fp32: products may round their factors to TF32 */
    activation activation;
    bool need_dx; /* false for the first layer */
    bool no_bias; /* parameters[1] and its gradient are not there */
} conv2d_shape;

extern const op_kind op_conv2d;

#endif
