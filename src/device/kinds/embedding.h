/* What a vision transformer puts before and onto its patches (Dosovitskiy et al., "An Image is
 * Worth 16x16 Words", 2020): y [n, 1 + tokens, channels] is a learned class token, then x [n,
 * tokens, channels], to which learned positions are added. Parameters: the class token [channels]
 * and the positions [1 + tokens, channels], fp32, added as they are; y is rounded to the type once.
 *
 * The gradient of the positions is dy added up over the samples in their order, of which the class
 * token's is the first row; dx is dy without its first token. */
#ifndef LOCKSTEP_DEVICE_KINDS_EMBEDDING_H
#define LOCKSTEP_DEVICE_KINDS_EMBEDDING_H

#include "device/op.h"

typedef struct embedding_shape {
    int n, tokens, channels; /* of x */
    dtype type;
} embedding_shape;

extern const op_kind op_embedding;

#endif
