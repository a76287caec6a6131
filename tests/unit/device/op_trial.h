/* A kind of op run once, forward and backward, on values of the host: what the tests of kinds are
 * made of. Tensors are in the subject's type, flat or images in a layout; parameters and buffers
 * fp32. */
#ifndef LOCKSTEP_TESTS_UNIT_DEVICE_OP_TRIAL_H
#define LOCKSTEP_TESTS_UNIT_DEVICE_OP_TRIAL_H

#include "ops_fixture.h"

/* count 0: there is no such tensor. */
typedef struct trial_tensor {
    size_t count;
    const float *values;  /* canonical */
    dims image;           /* n 0: it is flat */
    tensor_layout layout; /* of an image */
} trial_tensor;

static inline trial_tensor trial_image(tensor_layout layout, dims image, const float *values) {
    return (trial_tensor){dims_count(image), values, image, layout};
}

static inline trial_tensor trial_flat(size_t count, const float *values) {
    return (trial_tensor){.count = count, .values = values};
}

typedef struct op_trial {
    const op_kind *kind;
    const void *shape;
    trial_tensor x[OP_INPUTS], parameters[OP_PARAMETERS], buffers[OP_BUFFERS];
    trial_tensor dy;        /* of y's shape; its values are not read where it evaluates */
    bool leaves[OP_INPUTS]; /* this input's gradient is not wanted */
    const op_draws *draws;  /* of a kind that draws; its state in host memory */
    const op_sums *sums;    /* of a kind that sums over a batch; NULL: this is all of it */
    bool evaluates;         /* forward alone, of an evaluation */
    /* The plan to run, and the one that packs the parameters; NULL: one of the shape is made, and
     * packs its own. */
    plan *plan, *packing;
} op_trial;

/* Of what the trial has; else NULL. */
typedef struct op_results {
    float *y, *dx[OP_INPUTS], *gradients[OP_PARAMETERS], *buffers[OP_BUFFERS];
} op_results;

op_results op_try(subject *s, const op_trial *trial);
void op_results_free(op_results *self);
/* With one compute thread, on a device that has several. */
op_results op_try_alone(subject *s, const op_trial *trial);
/* That both have the same bits, of all that backward and forward made or moved. */
void expect_same_bits(const op_trial *trial, const op_results *a, const op_results *b);

/* Of a kind that is smooth, and whose evaluation is its training's forward: `got`, the gradients of
 * sum(dy * y), against finite differences of what `ref` gives for the trial, whose values move
 * meanwhile. Every `stride`-th value of each tensor is tried. */
void expect_differences(subject *ref, const op_trial *trial, const op_results *got, float step,
                        size_t stride, double tolerance);

/* Whether the device has no op of the kind and none of ref's serves it: then it is seen to be
 * refused by name, which is a case of its own. */
bool subject_lacks(subject *s, const op_kind *kind);

#endif
