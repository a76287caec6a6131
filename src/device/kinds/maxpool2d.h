/* Max pooling: x [n,h,w,c], y [n,oh,ow,c] with oh = (h + 2 * padding - window) / stride + 1,
 * rounded down. Padding is never a maximum. saved holds the winning position of each window (the
 * first in row-major order wins a tie, as in PyTorch). An element of x gets the gradients of all
 * windows that it won, added up. Backward reads y again. */
#ifndef LOCKSTEP_DEVICE_KINDS_MAXPOOL2D_H
#define LOCKSTEP_DEVICE_KINDS_MAXPOOL2D_H

#include "device/op.h"

typedef struct maxpool2d_shape {
    int n, height, width, channels; /* input */
    int window;
    int stride;  /* 0: the window's size */
    int padding; /* on each side; at most half the window, so that each window holds a pixel */
    tensor_layout in_layout, out_layout;
    dtype type;
    bool relu_input; /* the input is a ReLU's output: backward also applies that ReLU's mask */
} maxpool2d_shape;

extern const op_kind op_maxpool2d;

static inline int maxpool2d_stride(const maxpool2d_shape *shape) {
    return shape->stride ? shape->stride : shape->window;
}

/* y's height or width, for x's. */
static inline int maxpool2d_output(const maxpool2d_shape *shape, int input) {
    return (input + 2 * shape->padding - shape->window) / maxpool2d_stride(shape) + 1;
}

/* LS_FAILED, naming the device, where there is no such pooling. */
int maxpool2d_check(const plan *plan, const maxpool2d_shape *shape, ls_error *error);

#endif
