#include "cnn_step.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    const cnn_step_model *of = &self->model;
    LS_TRY(model_build(of->name, of->height, of->width, of->channels, of->classes, &self->graph,
                       error));
    LS_TRY(network_create(&self->graph, self->device, precision, &self->network, error));
    const mode_options *mode = &self->recipe.mode;
    int lanes = mode->strict ? (int)mode_options_lanes(mode) : 1;
    int parts = lanes * (int)mode->accumulate;
    if (self->batch % parts != 0)
        return ls_fail(error, LS_BAD_INPUT, "a batch of %d in %d parts", self->batch, parts);
    if (mode->strict)
        LS_TRY(network_split(self->network, lanes, error));
    LS_TRY(network_prepare(self->network, self->batch / parts, error));
    return network_seal(self->network, error);
}

static int open_mode(cnn_step *self, ls_error *error) {
    mode_settings settings = {.size = 1,
                              .device = self->device,
                              .stream = self->stream,
                              .graph = &self->graph,
                              .network = self->network,
                              .label_smoothing = (float)self->recipe.label_smoothing,
                              .global_batch = self->batch};
    mode_take_options(&self->recipe.mode, self->recipe.mode.strict, &settings);
    optimizer_describe(&self->optimizer, self->device, self->update_stream, &settings);
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

static const option smoothing[] = {{"label-smoothing", OPTION_REAL,
                                    offsetof(cnn_recipe, label_smoothing), "X", "0", NULL, 0, 1, "",
                                    false},
                                   {0}};

static int parse(cnn_recipe *out, const char *options, ls_error *error) {
    enum { MOST_WORDS = 32 };
    option_group groups[32] = {{0}};
    static char text[512];
    char *words[MOST_WORDS] = {"cnn_step"}, *rest = text;
    int count = 1;
    operands none;
    command with = {.name = "cnn_step", .usage = "", .groups = groups};
    option_groups list = {groups, sizeof groups / sizeof groups[0]};
    snprintf(text, sizeof text, "%s", options); /* the settings point into it */
    while (count < MOST_WORDS && (words[count] = strtok_r(rest, " ", &rest)))
        count++;
    LS_TRY(optimizer_add_options(&list, offsetof(cnn_recipe, optimizer), error));
    LS_TRY(schedule_add_options(&list, offsetof(cnn_recipe, schedule), error));
    LS_TRY(mode_add_options(&list, offsetof(cnn_recipe, mode), error));
    LS_TRY(option_add_group(&list, (option_group){NULL, smoothing, 0}, error));
    LS_TRY(option_parse(&with, count, words, out, &none, error));
    return schedule_check(&out->schedule, error);
}

static int begin_buffers(cnn_step *self, ls_error *error) {
    float *values = malloc((self->graph.buffer_count + 1) * sizeof *values);
    if (!values)
        return ls_fail(error, LS_FAILED, "out of memory");
    network_initialise_buffers(&self->graph, 1, values);
    int status = cnn_step_load_buffers(self, values, error);
    free(values);
    return status;
}

int cnn_step_open_model(cnn_step *self, const cnn_step_model *model, const char *device_name,
                        precision precision, int threads, int batch, const char *options,
                        int64_t steps, ls_error *error) {
    rate_table rates;
    *self = (cnn_step){.model = *model, .batch = batch};
    LS_TRY(open_device(self, device_name, threads, error));
    LS_TRY(parse(&self->recipe, options, error));
    LS_TRY(open_network(self, precision, error));
    LS_TRY(optimizer_create(&self->optimizer, &self->recipe.optimizer, precision == PRECISION_FP16,
                            error));
    LS_TRY(open_mode(self, error));
    self->kind = pixels_of(model->height, model->width, model->channels, model->classes);
    LS_TRY(begin_buffers(self, error));
    LS_TRY(batch_maker_open(&self->maker, self->device, &self->kind.base, batch, error));
    LS_TRY(open_state(self, error));
    LS_TRY(schedule_rates(&self->recipe.schedule, self->recipe.optimizer.learning_rate, steps, 1,
                          &rates, error));
    int status =
        optimizer_attach(&self->optimizer, self->mode, self->network, &self->graph, &rates, error);
    free(rates.rates);
    return status;
}

int cnn_step_open_with(cnn_step *self, const char *device_name, precision precision, int threads,
                       int batch, const char *options, int64_t steps, ls_error *error) {
    const cnn_step_model cnn = {"cnn", CNN_HEIGHT, CNN_WIDTH, CNN_CHANNELS, CNN_CLASSES};
    return cnn_step_open_model(self, &cnn, device_name, precision, threads, batch, options, steps,
                               error);
}

int cnn_step_open(cnn_step *self, const char *device_name, precision precision, int threads,
                  int batch, ls_error *error) {
    return cnn_step_open_with(self, device_name, precision, threads, batch, "", 1 << 20, error);
}

void cnn_step_close(cnn_step *self) {
    optimizer_destroy(&self->optimizer);
    mode_destroy(self->mode);
    batch_maker_close(&self->maker);
    if (self->state)
        self->device->is->release(self->device, self->state);
    network_destroy(self->network);
    graph_release(&self->graph);
    if (self->update_stream && self->update_stream != self->stream)
        self->device->is->stream_destroy(self->device, self->update_stream);
    if (self->stream)
        self->device->is->stream_destroy(self->device, self->stream);
    device_close(self->device);
}

int cnn_step_load(cnn_step *self, const float *parameters, ls_error *error) {
    store_span whole = {0, self->graph.parameter_count};
    LS_TRY(
        store_write(self->mode->store, self->stream, STORE_PARAMETERS, whole, parameters, error));
    return mode_parameters_written(self->mode, error);
}

int cnn_step_load_buffers(cnn_step *self, const float *buffers, ls_error *error) {
    store_span whole = {0, self->graph.buffer_count};
    if (whole.count == 0)
        return LS_OK;
    return store_write(self->mode->store, self->stream, STORE_BUFFERS, whole, buffers, error);
}

int cnn_step_put(cnn_step *self, const input_batch *batch, ls_error *error) {
    mode *mode = self->mode;
    LS_TRY(step_clock_begin(mode->clock, false, error));
    optimizer_begin(&self->optimizer, batch->state, batch->loaded);
    LS_TRY(batch_stage(batch, self->stream, error));
    for (int number = 0; number < mode->settings.micro_batches; number++) {
        LS_TRY(mode_begin(mode, batch, number, error));
        LS_TRY(mode_forward(mode, batch, error));
        LS_TRY(mode_loss(mode, batch, error));
        LS_TRY(mode_backward(mode, error));
    }
    LS_TRY(mode->is->finish(mode, error));
    return optimizer_update(&self->optimizer, error);
}

input_batch cnn_step_batch(const cnn_step *self, sample_place from) {
    from.state = self->state;
    return (input_batch){.maker = &self->maker,
                         .from = from,
                         .loaded = self->batch,
                         .global_count = self->batch,
                         .training = true,
                         .state = self->state};
}

int cnn_step_run(cnn_step *self, const uint8_t *images, const int32_t *labels, ls_error *error) {
    input_batch batch = cnn_step_batch(self, (sample_place){.samples = images, .labels = labels});
    LS_TRY(cnn_step_put(self, &batch, error));
    return self->device->is->stream_synchronize(self->device, self->stream, error);
}

int cnn_step_evaluate(cnn_step *self, const uint8_t *images, const int32_t *labels,
                      ls_error *error) {
    input_batch batch = cnn_step_batch(self, (sample_place){.samples = images, .labels = labels});
    batch.training = false;
    LS_TRY(optimizer_exchange_average(&self->optimizer, error));
    LS_TRY(batch_stage(&batch, self->stream, error));
    for (int number = 0; number < self->mode->settings.micro_batches; number++) {
        LS_TRY(mode_begin(self->mode, &batch, number, error));
        LS_TRY(mode_forward(self->mode, &batch, error));
        LS_TRY(mode_loss(self->mode, &batch, error));
    }
    return optimizer_exchange_average(&self->optimizer, error);
}

static int read(cnn_step *self, const void *from, void *out, size_t bytes, ls_error *error) {
    LS_TRY(self->device->is->copy(self->device, self->stream, out, from, bytes, COPY_DEVICE_TO_HOST,
                                  error));
    return self->device->is->stream_synchronize(self->device, self->stream, error);
}

int cnn_step_read(cnn_step *self, store_kind kind, float *out, ls_error *error) {
    store_span whole = {0, store_length(self->mode->store, kind)};
    return store_read(self->mode->store, self->stream, kind, whole, out, error);
}

int cnn_step_take_totals(cnn_step *self, loss_totals *out, ls_error *error) {
    enum { MOST = 64 };
    loss_totals lanes[MOST];
    size_t count = (size_t)self->mode->lane_count, bytes = count * sizeof *lanes;
    if (count > MOST)
        return ls_fail(error, LS_BAD_INPUT, "%zu lanes", count);
    LS_TRY(read(self, self->mode->totals, lanes, bytes, error));
    *out = lanes[0];
    for (size_t lane = 1; lane < count; lane++) {
        out->loss_sum += lanes[lane].loss_sum;
        out->correct += lanes[lane].correct;
        out->samples += lanes[lane].samples;
    }
    return self->device->is->fill_zero(self->device, self->stream, self->mode->totals, bytes,
                                       error);
}
