/* y [n,out] = x [n,in] * transposed weight [out,in] + bias [out]: parameters weight and bias,
 * rounded as for convolutions (conv2d.h). `in` is h*w*c of a flattened image, in that order.
 *
 * With a GELU (either form) forward keeps what that is applied to, rounded to the type, in
 * `saved`; dy is the gradient of y as it was stored: the op applies the derivative itself.
 * backward_parameters comes first, and leaves the result in `saved` for backward_inputs. */
#ifndef LOCKSTEP_DEVICE_KINDS_LINEAR_H
#define LOCKSTEP_DEVICE_KINDS_LINEAR_H

#include "device/op.h"

typedef struct linear_shape {
    int n; /* rows: samples, or the tokens of all samples */
    int in_features, out_features;
    dtype type; /* of activations */
    bool tf32;  /* as in conv2d.h */
    activation activation;
    bool need_dx;
    /* x is the output of a linear layer's ReLU that this one alone reads; and y is that of one: a
     * device may then apply the mask on its way (plan.masks_dx), from what forward has saved. */
    bool relu_input, masked_by_reader;
} linear_shape;

extern const op_kind op_linear;

static inline size_t linear_outputs(const linear_shape *shape) {
    return (size_t)shape->n * (size_t)shape->out_features;
}

#endif
