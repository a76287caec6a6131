/* --strict: a global batch in lanes, so that training does not depend on the number of ranks.
 *
 * Of B samples and L lanes (a power of two), lane l is positions [l B/L, (l+1) B/L). It is computed
 * alone, by plans made for its number of samples and one compute thread, into gradients and totals
 * of its own (with --accumulate, its micro-batches one after the other); and the lanes' gradients
 * are added up in a fixed tree (comm/tree.h). So nothing that has an order depends on which rank or
 * thread computes a lane: rank r of R has the whole subtree of lanes [r L/R, (r+1) L/R), which are
 * exactly its share of the batch.
 *
 * What a model keeps but does not train (running statistics) each lane writes for itself, from its
 * own samples; what is held, evaluated and saved is lane 0's, as PyTorch's DistributedDataParallel
 * has rank 0's.
 *
 * Lanes of a rank are computed side by side, as many at a time as it has compute threads, each
 * thread going through the layers of its lanes together: a unit's gradients of all lanes are so
 * ready early, and their sum starts beside the rest of backward. The mode's hooks are called on the
 * caller's thread alone, when all lanes of this rank have come to that point. Where parameters or
 * gradients lie in slots (mode_interface.has_slots) threads wait for each other before and after
 * each layer, so that a slot that one lane is given is there for all, and is left by all before it
 * serves again. */
#ifndef LOCKSTEP_MODE_LANES_H
#define LOCKSTEP_MODE_LANES_H

#include "mode/mode.h"

/* After the mode's setup; mode->settings.network was split into mode->lane_count lanes. */
int lanes_create(mode *mode, lanes **out, ls_error *error);
void lanes_destroy(lanes *self); /* NULL is fine */

/* Their inputs, in the batch's place, and its labels: of a batch that lanes_begin is given later,
 * with `made`. In `stream`, on the caller's thread. */
int lanes_make(lanes *self, device_stream *stream, const input_batch *batch, ls_error *error);

/* Each for all lanes of this rank, of the micro-batch mode->at_hand of each; the batch is
 * lanes_begin's until the next. */
int lanes_begin(lanes *self, const input_batch *batch, ls_error *error);
int lanes_forward(lanes *self, ls_error *error);
int lanes_loss(lanes *self, const input_batch *batch, ls_error *error);
int lanes_backward(lanes *self, ls_error *error);

#endif
