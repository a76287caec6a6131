/* Weights of a file in place of random ones: --init, and what evaluate tests. */
#ifndef LOCKSTEP_TRAIN_LOAD_WEIGHTS_H
#define LOCKSTEP_TRAIN_LOAD_WEIGHTS_H

#include "base/text_buffer.h"

#include <stdbool.h>

typedef struct trainer trainer;

/* Whether the run begins with weights of a file: there are some, and it does not go on from a
 * checkpoint. */
bool trainer_begins_with_weights(const trainer *self);

/* Before the model is built: what the weights, or the checkpoint that the run goes on from, say of
 * it. LS_BAD_INPUT where they are another model's. Collective. */
int trainer_describe_weights(trainer *self, ls_error *error);

/* Once it is built: whether they fit, from their headers. */
int trainer_check_weights(const trainer *self, ls_error *error);

/* The parameters and buffers of the file are the learner's; what it does not have begins as
 * without it. `notes`, on rank 0: a line, with its end, for each thing that was done beside
 * reading. Collective. */
int trainer_load_weights(trainer *self, text_buffer *notes, ls_error *error);

#endif
