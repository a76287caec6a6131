/* A training of a few steps of a network of a few layers on an emulated GPU, for tests that make
 * thousands of them: two convolutions and two linear layers, the full batch and a short one, steps
 * that are launched one by one and a step that is recorded and replayed. */
#ifndef LOCKSTEP_TESTS_EMULATED_TINY_TRAINING_H
#define LOCKSTEP_TESTS_EMULATED_TINY_TRAINING_H

#include "device/device.h"

enum { TINY_STEPS = 4 };

/* How the engines of convolutions are chosen. */
typedef enum { BY_FIRST_OFFER, BY_IMPORT, BY_TIME } tiny_choice;

typedef struct tiny_training {
    ls_error error; /* code 0: it trained */
    double losses[TINY_STEPS];
    char plans[8192]; /* network_describe, without what stands in parentheses */
    device_remarks fallbacks, refusals;
} tiny_training;

/* `short_too`: a short batch too, for which all is prepared anew.
 * `imported`: the choices of BY_IMPORT (device.h); `exported`, where it is not NULL, becomes this
 * run's (the caller frees it). */
void tiny_train(precision wanted, tiny_choice choice, bool short_too, const char *imported,
                char **exported, tiny_training *out);

#endif
