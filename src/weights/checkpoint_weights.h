/* A model's weights in a checkpoint, which says in its state which model they are of. */
#ifndef LOCKSTEP_WEIGHTS_CHECKPOINT_WEIGHTS_H
#define LOCKSTEP_WEIGHTS_CHECKPOINT_WEIGHTS_H

#include "checkpoint/checkpoint.h"
#include "model/graph.h"

/* What a graph is built from. */
typedef struct weights_model {
    char name[64]; /* as --model has it */
    int height, width, channels, classes;
    double epsilon; /* of its layer norms; 0: it has none, or the model's own */
    /* Of its images' channels, red first, as values between 0 and 1: subtracted, then divided by.
     */
    double mean[3], std[3];
} weights_model;

/* Mean and standard deviation of pixels that say nothing else: 0.5, 0.5. */
void weights_model_plain_pixels(weights_model *self);

/* To and from a checkpoint's state. LS_BAD_INPUT where it says none ("DIR: ..."). */
void weights_model_put(const weights_model *self, record *out);
int weights_model_get(const checkpoint *from, weights_model *out, ls_error *error);

/* Whether its tensors are the graph's, by name, shape and place: LS_BAD_INPUT names one that is
 * not. */
int weights_check_checkpoint(const graph *graph, const checkpoint *from, ls_error *error);

/* Into parameters[graph.parameter_count] (the moving average of a run that evaluates it, --ema) and
 * buffers[graph.buffer_count]. After weights_check_checkpoint. */
int weights_from_checkpoint(const graph *graph, const checkpoint *from, float *parameters,
                            float *buffers, ls_error *error);

/* A checkpoint of weights alone, at step 0, in the folder of checkpoints `dir`, which is made where
 * it is not there; `name`: its own. No run goes on from it. */
int weights_to_checkpoint(const graph *graph, const weights_model *model, const char *dir,
                          const float *parameters, const float *buffers,
                          char name[CHECKPOINT_FOLDER_BYTES], ls_error *error);

#endif
