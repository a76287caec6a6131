/* --accumulate N: a step's batch in N micro-batches, one after the other, for the memory of
 * activations of one of them. Their gradients are added up, in fp32 and in their order, and
 * exchanged and used once a step, as if the whole batch had been computed at once: each carries
 * 1 / the step's global count, so no mean is left to take.
 *
 * Micro-batch k of B samples that a rank computes is positions [kB/N, (k+1)B/N) of its share, in
 * modes in which each rank loads its own; in one that scatters a batch (dp), of the whole batch,
 * which the ranks then share; with lanes, of each lane's B samples. Where B is less than N some are
 * empty: their gradient is zero.
 *
 * The first one's backward writes to an array of its own, the sum; the others' write where the
 * mode's gradients are, and go from there to the sum; to the last one's the sum is added, and only
 * then is the mode told that it is there. With lanes each has a row of the sum, as it has of the
 * gradients: what a lane comes to is its own micro-batches', in their order, and how lanes are
 * shared out changes nothing. */
#ifndef LOCKSTEP_MODE_ACCUMULATE_H
#define LOCKSTEP_MODE_ACCUMULATE_H

#include "mode/mode.h"

/* Micro-batch `number` of N = s->micro_batches, of a step on `global_count` samples. */
micro_batch micro_batch_of(const mode_interface *is, const mode_settings *s, int64_t global_count,
                           int number);

/* After the mode's setup, whose hooks it stands before. Memory: one array of all parameters a row
 * of gradients. */
int accumulator_create(mode *mode, accumulator **out, ls_error *error);
void accumulator_destroy(accumulator *self); /* NULL is fine */

/* Of the micro-batch at hand and a row of gradients: where backward writes a unit's; what follows
 * when it has. On the thread that computes the row. */
int accumulator_gradient(const accumulator *self, int row, int unit, float **out, ls_error *error);
int accumulator_add(const accumulator *self, int row, int unit, ls_error *error);
/* The gradients of this micro-batch are the step's, once it was added. */
bool accumulator_at_last(const accumulator *self);

/* For network_forward and network_backward of mode->at_hand, without lanes. */
const network_hooks *accumulator_hooks(const accumulator *self);

#endif
