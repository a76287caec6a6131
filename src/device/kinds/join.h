/* A residual join: y = x[0] + x[1], both in one layout; the sum is rounded to the type before a
 * ReLU is applied. dx[0] and dx[1] are dy: one that lies there already is not written. */
#ifndef LOCKSTEP_DEVICE_KINDS_JOIN_H
#define LOCKSTEP_DEVICE_KINDS_JOIN_H

#include "device/op.h"

typedef struct join_shape {
    size_t count; /* elements of each tensor */
    dtype type;
    activation activation;
} join_shape;

extern const op_kind op_join;

#endif
