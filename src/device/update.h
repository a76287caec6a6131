/* The update of parameters by their gradients: what an optimizer's step op reads and writes,
 * whichever the rule. C and C++: kernels include it. */
#ifndef LOCKSTEP_DEVICE_UPDATE_H
#define LOCKSTEP_DEVICE_UPDATE_H

#include "device/step_state.h"

#include <stdbool.h>
#include <stddef.h>

enum { UPDATE_MOST_MOMENTS = 2 };

/* A part of the flat arrays that one call updates: one parameter tensor, or a piece of one. */
typedef struct parameter_range {
    size_t first, count; /* elements of the flat arrays */
    int parameter;       /* whose it is, by the caller's count; no op reads it */
    float rate_scale;    /* times the step's learning rate */
    float weight_decay;
    struct plan *packing; /* whose packed copy the pass refreshes; NULL: none */
    int packing_index;    /* which of the plan's parameters it is */
    void *packed;         /* the copy; of a piece: where the piece's first element lies in it */
    /* The whole tensor's gradient where it lies as its op left it; NULL: it is in
     * update_arguments.gradients. Only a device whose plans have such reads it. */
    const void *left;
    const struct op_left *left_as; /* plan.left */
    size_t left_first;             /* of a piece: its first element in the tensor */
} parameter_range;

/* All pointers are device memory. The gradient that a rule sees of element i is gradients[i] /
 * state->loss_scale, times state->clip where `clips`, then limited to +-clip_value. Where
 * state->overflow is set nothing changes. */
typedef struct update_arguments {
    float *parameters; /* flat arrays */
    const float *gradients;
    float *moments[UPDATE_MOST_MOMENTS]; /* as many as the rule keeps */
    /* The learning rate of each step of the run, [rate_count]: this update's is number
     * step_state_number(state), the last of them from there on. Read on the device, so that a
     * recorded step serves the whole run. */
    const float *rates;
    int64_t rate_count;
    bool clips;       /* by norm: ops.clip_norm came before */
    float clip_value; /* 0: no limit */
    const step_state *state;
    /* NULL, or `state`, where device_facts.updates_advance: the call also does what ops.advance
     * does at the end of a step on `images` samples (updated), behind everything that it reads of
     * the state. */
    step_state *advanced;
    int64_t images;
    bool scaling;
    step_state *shown;    /* with it: pinned host memory that gets a copy then; NULL: none does */
    progress_word begins; /* where updates_advance: written as the update begins */
} update_arguments;

/* Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1, with epsilon
 * outside the root, as PyTorch has it; moments: first, second. t = state->step + 1 is the update's
 * number: bias corrections 1 - beta^t. The decay is added to the gradient (L2), or, `decoupled`
 * (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019), the parameter is
 * first multiplied by 1 - rate * decay. */
typedef struct adam_constants {
    float beta1, beta2, epsilon;
    bool decoupled;
} adam_constants;

/* v = momentum * v + g; w -= rate * v; `nesterov`: w -= rate * (g + momentum * v). The first
 * velocity is the gradient, as PyTorch has it; moments: velocity (NULL where momentum is 0). */
typedef struct sgd_constants {
    float momentum;
    bool nesterov;
} sgd_constants;

/* What two ranks that read each other's memory share of an update (mode/pair.h): flat arrays as
 * the update's own, in host memory that the device addresses. */
typedef struct update_pair {
    const float *added; /* the gradients are these added to `gradients`; NULL: none */
    float *copied;      /* the new parameters are written there too; NULL: nowhere else */
} update_pair;

#endif
