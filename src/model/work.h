/* What a step cannot avoid to do: the multiplications and additions of its layers, and the bytes of
 * every tensor that each of its passes reads or writes, once. What a floor is computed from, by
 * `train --profile` and by the benches. */
#ifndef LOCKSTEP_MODEL_WORK_H
#define LOCKSTEP_MODEL_WORK_H

#include "base/dtype.h"
#include "model/graph.h"

typedef enum { PASS_FORWARD, PASS_BACKWARD_DATA, PASS_BACKWARD_WEIGHTS } layer_pass_kind;

/* flop: a multiplication and an addition are two. bytes: read plus written. */
typedef struct work {
    double flop, bytes;
} work;

/* Of one pass of a layer at a batch of n, activations and packed weights in `type`, gradients of
 * parameters fp32. Biases, and what a max pool saves of its winners, are left out as too small.
 * All zero where the layer has no such pass. */
work layer_work(const graph *graph, int layer, layer_pass_kind pass, int n, dtype type);

/* --- for kinds of layers: the bytes of a layer's tensors, and 2 flop for each of its weights (its
 * first parameter) and each of `positions`, the places of the batch that each weight meets. Of a
 * kind without weights: bytes alone. */
work work_of_product(const graph *graph, const graph_layer *layer, layer_pass_kind pass, int n,
                     dtype type, double positions);
work work_of_elements(const graph *graph, const graph_layer *layer, layer_pass_kind pass, int n,
                      dtype type);

/* `n` images of uint8 made into the network's input. */
work data_work(const graph *graph, int n, dtype type);
/* Logits read, their gradient written. */
work loss_work(const graph *graph, int n, dtype type);
/* Parameters and `moments` arrays read and written, gradients read, and packed weights written
 * where `type` is not fp32. */
work optimizer_work(const graph *graph, int moments, dtype type);

#endif
