/* Layer normalisation (Ba, Kiros and Hinton, "Layer Normalization", 2016), row by row:
 *
 *     y = (x - mean) / sqrt(variance + epsilon) * gamma + beta
 *
 * x and y [rows, channels]; mean and variance are a row's own (biased: divided by the channels),
 * in fp32 at least; y is rounded to the type once. Parameters: gamma [channels] and beta
 * [channels], fp32. Evaluation is the same as training.
 *
 * Backward reads x again, and `saved`. backward_parameters comes first and may write dx[0] as well,
 * where that is wanted, so that one pass over x and dy serves both; backward_inputs does what is
 * left. The parameters' gradients are sums over all rows, in an order that is the shape's alone. */
#ifndef LOCKSTEP_DEVICE_KINDS_LAYERNORM_H
#define LOCKSTEP_DEVICE_KINDS_LAYERNORM_H

#include "device/op.h"

typedef struct layernorm_shape {
    int64_t rows;
    int channels;
    dtype type;     /* of activations */
    double epsilon; /* 1e-6 in timm's and torchvision's ViT, 1e-12 in HuggingFace's */
} layernorm_shape;

extern const op_kind op_layernorm;

#endif
