/* The optimizer of a run: which rule, its constants, and the ranges of the flat arrays. */
#ifndef LOCKSTEP_TRAIN_OPTIMIZER_H
#define LOCKSTEP_TRAIN_OPTIMIZER_H

#include "mode/mode.h"

typedef struct optimizer {
    bool adam;
    double learning_rate, weight_decay, momentum;
    int64_t step;
    parameter_range *ranges;
    int range_count;
} optimizer;

extern const char optimizer_choices[]; /* "adam|sgd" */

int optimizer_create(optimizer *self, const char *name, double learning_rate, double weight_decay,
                     double momentum, ls_error *error);
/* Flat arrays it keeps beside parameters and gradients. */
int optimizer_moments(const optimizer *self);
/* After network_seal. */
int optimizer_attach(optimizer *self, network *network, const graph *graph, ls_error *error);
/* One update of the mode's parameters from its gradients. */
int optimizer_update(optimizer *self, mode *mode, ls_error *error);
void optimizer_destroy(optimizer *self);

#endif
