/* The CNN's training step, or another model's, on a device through the project's own model, mode
 * and optimizer, for the benches and for the comparison with PyTorch: one rank, no loader. */
#ifndef LOCKSTEP_TESTS_CNN_STEP_H
#define LOCKSTEP_TESTS_CNN_STEP_H

#include "input/pixels.h"
#include "mode/mode.h"
#include "mode/mode_options.h"
#include "train/optimizer.h"

enum { CNN_HEIGHT = 32, CNN_WIDTH = 32, CNN_CHANNELS = 3, CNN_CLASSES = 10 };

/* The options of `lockstep train` that a step depends on. */
typedef struct cnn_recipe {
    optimizer_settings optimizer;
    schedule_settings schedule;
    mode_options mode; /* single */
    double label_smoothing;
} cnn_recipe;

/* A model, and the images that it is for. */
typedef struct cnn_step_model {
    const char *name;
    int height, width, channels, classes;
} cnn_step_model;

typedef struct cnn_step {
    cnn_step_model model;
    device *device;
    device_stream *stream, *update_stream;
    graph graph;
    network *network;
    mode *mode;
    cnn_recipe recipe;
    optimizer optimizer;
    pixels kind;
    batch_maker maker;
    step_state *state; /* device memory */
    int batch;
} cnn_step;

/* Adam with learning rate 1e-3. Parameters are zero until cnn_step_load. LOCKSTEP_TEST_PLANS: where
 * the device's choices of algorithms are kept between programs. */
int cnn_step_open(cnn_step *self, const char *device_name, precision precision, int threads,
                  int batch, ls_error *error);
/* The same with `options`, as on the command line of `lockstep train` ("--optimizer sgd"), for a
 * run of `steps` steps, which are one epoch. Lanes and micro-batches must divide the batch. */
int cnn_step_open_with(cnn_step *self, const char *device_name, precision precision, int threads,
                       int batch, const char *options, int64_t steps, ls_error *error);
/* The same of another model; the running statistics begin as the model says. */
int cnn_step_open_model(cnn_step *self, const cnn_step_model *model, const char *device_name,
                        precision precision, int threads, int batch, const char *options,
                        int64_t steps, ls_error *error);
void cnn_step_close(cnn_step *self);

/* parameters: [parameter_count], host memory, canonical layouts in the order of the layers. */
int cnn_step_load(cnn_step *self, const float *parameters, ls_error *error);
/* buffers: [buffer_count], likewise. */
int cnn_step_load_buffers(cnn_step *self, const float *buffers, ls_error *error);

/* One step on images [batch, height, width, channels] and labels [batch], host memory. */
int cnn_step_run(cnn_step *self, const uint8_t *images, const int32_t *labels, ls_error *error);

/* The loss of the parameters, or of their average where one is kept, added to the totals. */
int cnn_step_evaluate(cnn_step *self, const uint8_t *images, const int32_t *labels,
                      ls_error *error);

/* A training batch of what lies there. */
input_batch cnn_step_batch(const cnn_step *self, sample_place from);

/* A step's work on `batch`, put into the stream. */
int cnn_step_put(cnn_step *self, const input_batch *batch, ls_error *error);

/* Copies all of one of the store's arrays from the device. */
int cnn_step_read(cnn_step *self, store_kind kind, float *out, ls_error *error);
/* The totals so far, and sets them to zero. */
int cnn_step_take_totals(cnn_step *self, loss_totals *out, ls_error *error);

#endif
