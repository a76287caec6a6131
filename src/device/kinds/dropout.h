/* What training leaves out at random: y [n, each] is x, of which elements are 0 with the
 * probability `rate` and the others divided by 1 - rate (Srivastava et al., "Dropout", JMLR 2014).
 * `whole`: all of a sample is kept or left out; of what a residual branch adds that is stochastic
 * depth (Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016), scaled as timm's
 * drop_path scales it. An evaluation's y is x.
 *
 * What is left out is a pure function of op_arguments.draws and the shape's `stream`. Of the sample
 * k of a call, which has place p = draws->first + k in the step's batch, in the step s
 * (step_state_number), element e is kept where value e % 4 of
 *
 *     random_block(seed, RANDOM_DROPOUT, stream * 2^40 + s, p * ceil(each / 4) + e / 4)
 *
 * is dropout_least(rate) at least; of a whole sample e is 0 and `each` is 1. Backward draws the
 * same again: nothing is saved. */
#ifndef LOCKSTEP_DEVICE_KINDS_DROPOUT_H
#define LOCKSTEP_DEVICE_KINDS_DROPOUT_H

#include "base/random.h"
#include "device/op.h"
#include "device/step_state.h"

typedef struct dropout_shape {
    int n;
    size_t each; /* elements of a sample */
    dtype type;
    double rate; /* at least 0, less than 1 */
    bool whole;
    int stream; /* another one for each layer of a network: at most 2^16 - 1 */
} dropout_shape;

extern const op_kind op_dropout;

/* The least 32 random bits that keep an element. */
static inline uint32_t dropout_least(double rate) {
    return (uint32_t)(rate * 0x1p32);
}

/* What is kept is multiplied by it. */
static inline float dropout_scale(const dropout_shape *shape) {
    return (float)(1 / (1 - shape->rate));
}

/* The high word of the counter of a call's draws. */
static inline uint64_t dropout_counter(const dropout_shape *shape, const op_draws *draws) {
    return (uint64_t)shape->stream << 40 | (uint64_t)step_state_number(draws->state);
}

/* Blocks of random numbers that a sample takes. */
static inline uint64_t dropout_blocks(const dropout_shape *shape) {
    return shape->whole ? 1 : (shape->each + 3) / 4;
}

#endif
