/* Tokens become one vector: x [n, tokens, channels], y [n, channels]: the first token, which is the
 * class token, or the mean of all others. dx is zero where x was not read. */
#ifndef LOCKSTEP_DEVICE_KINDS_TOKENPOOL_H
#define LOCKSTEP_DEVICE_KINDS_TOKENPOOL_H

#include "device/op.h"

typedef struct tokenpool_shape {
    int n, tokens, channels; /* of x; at least two tokens */
    bool mean;
    dtype type;
} tokenpool_shape;

extern const op_kind op_tokenpool;

#endif
