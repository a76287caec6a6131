/* Self-attention of several heads (Vaswani et al., "Attention Is All You Need", 2017). x [n,
 * tokens, 3, heads, head_dim]: each token's query, key and value, one behind the other, as timm's
 * `qkv` layer makes them; y [n, tokens, heads, head_dim]. For each sample and head
 *
 *     y = softmax(query * transposed key / sqrt(head_dim)) * value
 *
 * `saved` holds the logarithm of each row's sum of exponentials, [n, heads, tokens] fp32. Backward
 * computes the weights again from it and reads x and y; no device may hold a matrix of [tokens,
 * tokens], beyond a number of tokens that it names (Dao et al., "FlashAttention", 2022): workspace
 * and saved grow with the tokens, not with their square. Softmax and sums are in fp32 at least; a
 * device may round the weights, and their gradients, to the type before it multiplies by them. */
#ifndef LOCKSTEP_DEVICE_KINDS_ATTENTION_H
#define LOCKSTEP_DEVICE_KINDS_ATTENTION_H

#include "device/op.h"

typedef struct attention_shape {
    int n, tokens, heads, head_dim;
    dtype type; /* of activations */
} attention_shape;

extern const op_kind op_attention;

#endif
