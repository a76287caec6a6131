/* Attention as cuDNN is asked for it: forward's and backward's operation graph of an
 * attention_shape, which its fused engines recognise ("Fused Flash Attention fprop" and "bprop" in
 * the graph API's list of supported graphs). What lies between the operations is virtual.
 *
 * dQ goes straight to its tensor: with a sum of fp32 in memory before it, as the engines offer too,
 * blocks of keys add to that in any order (atomics; no numerical note of the engines says so).
 * Straight, they write dS to their workspace first, in the type.
 *
 *     forward   S = Q * transposed K * scale; y = softmax(S) * V; statistics = log(sum of exp(S))
 *     backward  P = exp(S - statistics); dV = transposed P * dy; dS = P * (dy * transposed V - sum
 *               of dy * y) * scale; dQ = dS * K; dK = transposed dS * Q
 *
 * Sums are fp32; P and dS are rounded to the type before they are multiplied by. */
#ifndef LOCKSTEP_CUDA_DNN_ATTENTION_GRAPH_H
#define LOCKSTEP_CUDA_DNN_ATTENTION_GRAPH_H

#include "cuda/dnn/dnn_problem.h"
#include "device/kinds/attention.h"

typedef enum { ATTENTION_FORWARD, ATTENTION_BACKWARD } attention_direction;
enum { ATTENTION_DIRECTIONS = 2 };

/* "attention", "attention-backward": one word, for tables and keys. */
const char *attention_direction_name(attention_direction direction);

/* Slots. The parts of x and of dx begin where the first token's does; statistics are fp32, [n,
 * heads, tokens]. */
enum {
    ATTENTION_QUERY,
    ATTENTION_KEY,
    ATTENTION_VALUE,
    ATTENTION_OUTPUT,
    ATTENTION_STATISTICS,
    /* backward's alone */
    ATTENTION_GRADIENT,
    ATTENTION_SUMS, /* written: of dy * y, fp32, as statistics lie */
    ATTENTION_DQUERY,
    ATTENTION_DKEY,
    ATTENTION_DVALUE
};

typedef struct attention_problem {
    dnn_problem base;
    attention_shape shape;
    attention_direction direction;
} attention_problem;

/* LS_FAILED where the key is too long. */
int attention_problem_init(const attention_shape *shape, attention_direction direction,
                           attention_problem *out, ls_error *error);

#endif
