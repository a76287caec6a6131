/* The optimizer of a run: which rule, its constants, and the ranges of the flat arrays.
 *
 * An update is made at once, or, where the mode tells what is final as backward goes on, piece by
 * piece in a stream of its own: the bits are the same, for no element's update looks at another.
 * Only loss scaling forbids it: there no update may begin before all gradients were looked at. */
#ifndef LOCKSTEP_TRAIN_OPTIMIZER_H
#define LOCKSTEP_TRAIN_OPTIMIZER_H

#include "mode/mode.h"

typedef struct optimizer {
    bool adam;
    double learning_rate, weight_decay, momentum;
    bool scaling; /* dynamic loss scaling: fp16 */
    bool at_once; /* this step's update is not made piece by piece */
    mode *mode;
    const step_state *state; /* of the step that is going on */
    parameter_range *ranges;
    int range_count;
    size_t settled;          /* elements that this step has updated, or begun to */
    size_t *range_settled;   /* [range_count] the same, of each range */
    parameter_range *pieces; /* [range_count] of one call */
} optimizer;

extern const char optimizer_choices[]; /* "adam|sgd" */

int optimizer_create(optimizer *self, const char *name, double learning_rate, double weight_decay,
                     double momentum, bool scaling, ls_error *error);
/* Flat arrays it keeps beside parameters and gradients. */
int optimizer_moments(const optimizer *self);
/* Before mode_create: what the mode must know of it. Updates may go into `update_stream`. */
void optimizer_describe(optimizer *self, device_stream *update_stream, mode_settings *out);
/* After network_seal and mode_create. */
int optimizer_attach(optimizer *self, mode *mode, network *network, const graph *graph,
                     ls_error *error);
/* A step on batches of `state` begins: nothing of it is settled. */
void optimizer_begin(optimizer *self, const step_state *state);
/* One update of the mode's parameters from its gradients, number state->step + 1 (device memory),
 * or, where it was made piece by piece, the wait for it in the mode's stream; with scaling, none
 * where a gradient is not finite on any rank. `state` moves on only by ops.advance, which the
 * caller makes. */
int optimizer_update(optimizer *self, step_state *state, ls_error *error);
void optimizer_destroy(optimizer *self);

#endif
