/* An image cut into square patches: x [n, h, w, c] in a layout, y [n, (h / side) * (w / side), side
 * * side * c], a row a patch, row by row of patches, its pixels in [h, w, c] order. A linear layer
 * behind it is the convolution whose stride is its kernel (Dosovitskiy et al., "An Image is Worth
 * 16x16 Words", 2020). Each value goes to one place: y is x moved, and dx is dy moved back. */
#ifndef LOCKSTEP_DEVICE_KINDS_PATCHES_H
#define LOCKSTEP_DEVICE_KINDS_PATCHES_H

#include "device/op.h"

typedef struct patches_shape {
    int n, height, width, channels; /* of x */
    int side;                       /* divides height and width */
    tensor_layout in_layout;
    dtype type;
} patches_shape;

extern const op_kind op_patches;

/* Patches of an image. */
static inline size_t patches_count(const patches_shape *shape) {
    return (size_t)(shape->height / shape->side) * (size_t)(shape->width / shape->side);
}

#endif
