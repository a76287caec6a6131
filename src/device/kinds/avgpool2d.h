/* Global average pooling: x [n,h,w,c], y [n,c], the mean of each channel's h * w values. */
#ifndef LOCKSTEP_DEVICE_KINDS_AVGPOOL2D_H
#define LOCKSTEP_DEVICE_KINDS_AVGPOOL2D_H

#include "device/op.h"

typedef struct avgpool2d_shape {
    int n, height, width, channels; /* of x; y is flat */
    tensor_layout in_layout;
    dtype type;
} avgpool2d_shape;

extern const op_kind op_avgpool2d;

#endif
