/* A model that was trained, on the test images: each once, at any number of ranks. */
#ifndef LOCKSTEP_TRAIN_EVALUATE_H
#define LOCKSTEP_TRAIN_EVALUATE_H

#include "train/train.h"

typedef struct evaluate_settings {
    train_settings run;               /* of it: data, model, precision, ranks, batch */
    const char *from;                 /* NAME.safetensors, or a checkpoint (checkpoint_resolve) */
    const char *predictions, *logits; /* files to write, or NULL */
} evaluate_settings;

/* The model that the weights say they are of into out[capacity]; "" where they say none. */
int evaluate_model_of(const char *from, char *out, size_t capacity, ls_error *error);

/* Evaluates on this rank, after launch_start, and prints the result on rank 0: collective, as
 * train_run. Sets what a run needs beside the settings (mode, optimizer). */
int evaluate_run(launch *me, evaluate_settings *settings, const char *options_text,
                 ls_error *error);

#endif
