/* Which layers' outputs are not kept for backward but made again in it, and when each pass of a
 * layer is run: moments, for the lifetimes of buffers (the model room's own). */
#ifndef LOCKSTEP_MODEL_RECOMPUTE_H
#define LOCKSTEP_MODEL_RECOMPUTE_H

#include "model/pass.h"

/* Fills again_before, saves_again and first_again of the pass's layers, whose plans are there. */
void recompute_choose(pass *self, const graph *graph, recompute wanted);

/* Moments: forward of layer l is l, the loss is layer_count; then backward, with each layer that is
 * made again before the one that it is for. Backward takes two: the parameters' gradients, and
 * then the inputs'. */
void recompute_schedule(pass *self, const graph *graph);
int recompute_end(const pass *self, const graph *graph); /* the last moment */

/* The backward of the tensor's producer reads it. */
bool recompute_producer_reads(const graph *graph, int tensor);

/* A ReLU's mask is applied by the only reader of its output where that kind does so on its way. */
bool recompute_masked_by_kind(const graph *graph, const graph_tensor *tensor);

#endif
