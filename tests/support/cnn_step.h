/* The CNN's training step on a device through the project's own model, mode and optimizer, for the
 * benches and for the comparison with PyTorch: one rank, no loader. */
#ifndef LOCKSTEP_TESTS_CNN_STEP_H
#define LOCKSTEP_TESTS_CNN_STEP_H

#include "mode/mode.h"
#include "train/optimizer.h"

enum { CNN_HEIGHT = 32, CNN_WIDTH = 32, CNN_CHANNELS = 3, CNN_CLASSES = 10 };

typedef struct cnn_step {
    device *device;
    device_stream *stream, *update_stream;
    graph graph;
    network *network;
    mode *mode;
    optimizer optimizer;
    step_state *state; /* device memory */
    int batch;
} cnn_step;

/* Adam with learning rate 1e-3. Parameters are zero until cnn_step_load. LOCKSTEP_TEST_PLANS: where
 * the device's choices of algorithms are kept between programs. */
int cnn_step_open(cnn_step *self, const char *device_name, precision precision, int threads,
                  int batch, ls_error *error);
void cnn_step_close(cnn_step *self);

/* parameters: [parameter_count], host memory, canonical layouts in the order of the layers. */
int cnn_step_load(cnn_step *self, const float *parameters, ls_error *error);

/* One step on images [batch, 32, 32, 3] and labels [batch], host memory. */
int cnn_step_run(cnn_step *self, const uint8_t *images, const int32_t *labels, ls_error *error);

/* A step's work on `batch`, put into the stream. */
int cnn_step_put(cnn_step *self, const mode_batch *batch, ls_error *error);

/* Copies from the device: `from` is one of the mode's flat arrays. */
int cnn_step_read(cnn_step *self, const float *from, float *out, ls_error *error);
/* The totals so far, and sets them to zero. */
int cnn_step_take_totals(cnn_step *self, loss_totals *out, ls_error *error);

#endif
