#include "cnn_step.h"

#include <stdlib.h>

static int open_device(cnn_step *self, const char *name, int threads, ls_error *error) {
    device_request request = {
        .local_size = 1, .threads = threads, .plan_cache = getenv("LOCKSTEP_TEST_PLANS")};
    LS_TRY(device_open(name, &request, &self->device, error));
    LS_TRY(self->device->is->stream_create(self->device, &self->stream, error));
    self->update_stream = self->stream;
    if (!self->device->facts.asynchronous)
        return LS_OK;
    return self->device->is->stream_create(self->device, &self->update_stream, error);
}

static int open_network(cnn_step *self, precision precision, ls_error *error) {
    LS_TRY(self->device->is->check_precision(self->device, precision, error));
    LS_TRY(
        model_build("cnn", CNN_HEIGHT, CNN_WIDTH, CNN_CHANNELS, CNN_CLASSES, &self->graph, error));
    LS_TRY(network_create(&self->graph, self->device, precision, &self->network, error));
    LS_TRY(network_prepare(self->network, self->batch, error));
    return network_seal(self->network, error);
}

static int open_mode(cnn_step *self, ls_error *error) {
    mode_settings settings = {.size = 1,
                              .device = self->device,
                              .stream = self->stream,
                              .graph = &self->graph,
                              .network = self->network,
                              .global_batch = self->batch,
                              .height = CNN_HEIGHT,
                              .width = CNN_WIDTH,
                              .channels = CNN_CHANNELS,
                              .classes = CNN_CLASSES,
                              .scale = 2.0f / 255.0f, /* (x / 255 - 0.5) / 0.5 */
                              .shift = -1.0f};
    optimizer_describe(&self->optimizer, self->update_stream, &settings);
    return mode_create("single", &settings, &self->mode, error);
}

static int open_state(cnn_step *self, ls_error *error) {
    step_state initial = {.loss_scale = self->optimizer.scaling ? LOSS_SCALE_INITIAL : 1};
    LS_TRY(self->device->is->allocate(self->device, sizeof initial, "the step's state",
                                      (void **)&self->state, error));
    LS_TRY(self->device->is->copy(self->device, self->stream, self->state, &initial, sizeof initial,
                                  COPY_HOST_TO_DEVICE, error));
    return self->device->is->stream_synchronize(self->device, self->stream, error);
}

int cnn_step_open(cnn_step *self, const char *device_name, precision precision, int threads,
                  int batch, ls_error *error) {
    *self = (cnn_step){.batch = batch};
    LS_TRY(open_device(self, device_name, threads, error));
    LS_TRY(open_network(self, precision, error));
    LS_TRY(
        optimizer_create(&self->optimizer, "adam", 1e-3, 0, 0, precision == PRECISION_FP16, error));
    LS_TRY(open_mode(self, error));
    LS_TRY(open_state(self, error));
    return optimizer_attach(&self->optimizer, self->mode, self->network, &self->graph, error);
}

void cnn_step_close(cnn_step *self) {
    optimizer_destroy(&self->optimizer);
    mode_destroy(self->mode);
    if (self->state)
        self->device->is->release(self->device, self->state);
    network_destroy(self->network);
    if (self->update_stream && self->update_stream != self->stream)
        self->device->is->stream_destroy(self->device, self->update_stream);
    if (self->stream)
        self->device->is->stream_destroy(self->device, self->stream);
    device_close(self->device);
}

int cnn_step_load(cnn_step *self, const float *parameters, ls_error *error) {
    LS_TRY(self->device->is->copy(self->device, self->stream, self->mode->parameters, parameters,
                                  self->graph.parameter_count * sizeof *parameters,
                                  COPY_HOST_TO_DEVICE, error));
    self->mode->is->parameters_changed(self->mode);
    return network_pack(self->network, self->stream, self->mode->parameters, error);
}

int cnn_step_put(cnn_step *self, const mode_batch *batch, ls_error *error) {
    mode *mode = self->mode;
    pass *pass = network_pass(self->network, self->batch);
    LS_TRY(step_clock_begin(mode->clock, false, error));
    optimizer_begin(&self->optimizer, batch->state);
    LS_TRY(mode_stage(mode, batch, error));
    LS_TRY(mode->is->begin(mode, batch, pass, error));
    LS_TRY(network_forward(self->network, pass, self->stream, &mode->hooks, error));
    LS_TRY(mode->is->loss(mode, batch, pass, error));
    LS_TRY(network_backward(self->network, pass, self->stream, &mode->hooks, error));
    LS_TRY(mode->is->finish(mode, error));
    LS_TRY(optimizer_update(&self->optimizer, batch->state, error));
    return self->device->is->ops->advance(self->device, self->stream, batch->state, batch->loaded,
                                          true, self->optimizer.scaling, error);
}

int cnn_step_run(cnn_step *self, const uint8_t *images, const int32_t *labels, ls_error *error) {
    mode_batch batch = {.images = images,
                        .labels = labels,
                        .loaded = self->batch,
                        .global_count = self->batch,
                        .training = true,
                        .state = self->state};
    LS_TRY(cnn_step_put(self, &batch, error));
    return self->device->is->stream_synchronize(self->device, self->stream, error);
}

static int read(cnn_step *self, const void *from, void *out, size_t bytes, ls_error *error) {
    LS_TRY(self->device->is->copy(self->device, self->stream, out, from, bytes, COPY_DEVICE_TO_HOST,
                                  error));
    return self->device->is->stream_synchronize(self->device, self->stream, error);
}

int cnn_step_read(cnn_step *self, const float *from, float *out, ls_error *error) {
    return read(self, from, out, self->graph.parameter_count * sizeof *out, error);
}

int cnn_step_take_totals(cnn_step *self, loss_totals *out, ls_error *error) {
    LS_TRY(read(self, self->mode->totals, out, sizeof *out, error));
    return self->device->is->fill_zero(self->device, self->stream, self->mode->totals, sizeof *out,
                                       error);
}
