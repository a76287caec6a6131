/* What learns: a network, the mode and the optimizer that train it, on an engine. All that a step
 * needs beside its batch; a run may have several (price.c makes a second one). */
#ifndef LOCKSTEP_TRAIN_LEARNER_H
#define LOCKSTEP_TRAIN_LEARNER_H

#include "input/input.h"
#include "mode/mode.h"
#include "train/engine.h"
#include "train/optimizer.h"

typedef struct learner {
    engine *engine;
    const graph *graph;
    network *network;
    mode *mode;
    optimizer optimizer;
} learner;

void learner_close(learner *self); /* zero bytes are fine */

/* From a batch on the device to updated parameters: what a recording holds. */
int learner_compute(learner *self, const input_batch *batch, ls_error *error);
/* Where batches are made ahead, a step has its batch before it begins (a recorded one cannot make
 * it), but for a sampled one, whose part that is. */
int learner_have(learner *self, input *input, input_batch *batch, bool sampled, ls_error *error);
/* Both: a step that is not replayed. */
int learner_step(learner *self, input *input, const input_batch *batch, bool sampled,
                 ls_error *error);
int learner_evaluate(learner *self, input *input, const input_batch *batch, ls_error *error);

#endif
