/* Gradients of linear layers exchanged as their factors (Xie et al., "Lighter-Communication
 * Distributed Machine Learning via Sufficient Factor Broadcasting", UAI 2016): a layer's gradient
 * is dy transposed times x, summed over the rows of the batch, so instead of all-reducing in x out
 * values the ranks all-gather their rows of x and dy, n x (in + out) values of the compute type,
 * and each forms the whole sum. Rows lie in rank order, so every rank has the same bits. x starts
 * on its way in forward, dy when backward has it; the product is made last, behind what else
 * travels. Ranks may have different numbers of rows, or none. */
#ifndef LOCKSTEP_MODE_FACTORS_H
#define LOCKSTEP_MODE_FACTORS_H

#include "mode/mode.h"
#include "mode/outstanding.h"

typedef struct factors factors;

/* For the units that `wanted` flags, all of them with factors (graph_unit_factors): memory for the
 * rows of the largest batch, plans for both batches of training. */
int factors_create(mode *mode, const bool *wanted, factors **out, ls_error *error);
void factors_destroy(factors *self); /* NULL is fine */

/* A step on this global batch begins. */
void factors_begin(factors *self, int64_t global_count);
/* network_hooks.input_ready and .delta_ready: copies this rank's rows and begins to gather. */
int factors_input(factors *self, outstanding *works, int unit, const void *x, ls_error *error);
int factors_delta(factors *self, outstanding *works, int unit, const void *dy, ls_error *error);
/* Waits for the rows and forms every unit's gradient. */
int factors_finish(factors *self, outstanding *works, ls_error *error);

/* Median seconds of forming a unit's gradient from the rows of the full global batch, and half of
 * what lies between the quartiles, of two to five products. Where two do not fit into
 * limit_seconds: what one over a rank's own rows makes of it, which is the most that it can be, and
 * a spread of 0. Out of the hot loop; overwrites the unit's gradient. */
int factors_product_seconds(factors *self, int unit, double limit_seconds, double *out,
                            double *spread, ls_error *error);

#endif
