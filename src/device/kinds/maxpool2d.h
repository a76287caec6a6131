/* Max pooling: x [n,h,w,c], y [n,h/window,w/window,c]. saved holds the winning position of each
 * window (the first in row-major order wins a tie). Backward reads y again. */
#ifndef LOCKSTEP_DEVICE_KINDS_MAXPOOL2D_H
#define LOCKSTEP_DEVICE_KINDS_MAXPOOL2D_H

#include "device/op.h"

typedef struct maxpool2d_shape {
    int n, height, width, channels; /* input; window = stride = `window`, no padding */
    int window;
    tensor_layout in_layout, out_layout;
    dtype type;
    bool relu_input; /* the input is a ReLU's output: backward also applies that ReLU's mask */
} maxpool2d_shape;

extern const op_kind op_maxpool2d;

#endif
