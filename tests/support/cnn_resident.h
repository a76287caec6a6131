/* cnn_step with its data set in device memory, and, on a device that has
 * graphs, the step as one of them: what the trainer does on a GPU, without its loop. */
#ifndef LOCKSTEP_TESTS_CNN_RESIDENT_H
#define LOCKSTEP_TESTS_CNN_RESIDENT_H

#include "cnn_step.h"

typedef struct cnn_resident {
    cnn_step step;
    uint8_t *images; /* device memory: [count, height, width, channels] of the model */
    int32_t *labels; /* device memory: [count] */
    int64_t *order;  /* device memory: [count], a permutation */
    int count;
    int64_t cursor; /* what step.state->cursor is */
    device_graph *graph;
} cnn_resident;

/* Random images, `count` of them, and the model's own initialisation; `options` as on the command
 * line of `lockstep train`. Two steps have run and one is recorded. */
int cnn_resident_open(cnn_resident *self, const cnn_step_model *model, const char *device_name,
                      precision precision, int threads, int batch, const char *options, int count,
                      ls_error *error);
void cnn_resident_close(cnn_resident *self);

/* So many steps, to their end. */
int cnn_resident_run(cnn_resident *self, int steps, ls_error *error);

#endif
