/* The optimizer of a run: which rule, its constants, and the ranges of the flat arrays. */
#ifndef LOCKSTEP_TRAIN_OPTIMIZER_H
#define LOCKSTEP_TRAIN_OPTIMIZER_H

#include "mode/mode.h"

typedef struct optimizer {
    bool adam;
    double learning_rate, weight_decay, momentum;
    bool scaling; /* dynamic loss scaling: fp16 */
    parameter_range *ranges;
    int range_count;
} optimizer;

extern const char optimizer_choices[]; /* "adam|sgd" */

int optimizer_create(optimizer *self, const char *name, double learning_rate, double weight_decay,
                     double momentum, bool scaling, ls_error *error);
/* Flat arrays it keeps beside parameters and gradients. */
int optimizer_moments(const optimizer *self);
/* After network_seal. */
int optimizer_attach(optimizer *self, network *network, const graph *graph, ls_error *error);
/* One update of the mode's parameters from its gradients, number state->step + 1 (device memory);
 * with scaling, none where a gradient is not finite on any rank. `state` moves on only by
 * ops.advance, which the caller makes. */
int optimizer_update(optimizer *self, mode *mode, step_state *state, ls_error *error);
void optimizer_destroy(optimizer *self);

#endif
