/* Warm-up on scratch state: first-use compilation, page faults, connections. Runs the whole step
 * path, collectives included, for each batch size that will come, records the steps where they are
 * replayed, then gives parameters and moments their real initial values, so that nothing of it is
 * left. */
#include "base/clock.h"
#include "launch/lifeline.h"
#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>

enum { TRAINING_STEPS = 2 };

void trainer_describe_warmup(char *out, size_t capacity) {
    snprintf(out, capacity, "%d steps of each batch size", TRAINING_STEPS);
}

static int one_size(trainer *self, feed *feed, int64_t global_count, ls_error *error) {
    bool training = feed->settings.training;
    mode_batch batch;
    lifeline_at("warm-up", 0, training ? global_count : -global_count); /* a place of its own */
    feed_blank(feed, global_count, &batch);
    for (int step = 0; step < (training ? TRAINING_STEPS : 1); step++) {
        LS_TRY(feed_write_state(feed, error)); /* the cursor back to the start */
        LS_TRY(step_clock_begin(self->mode->clock, false, error));
        LS_TRY(training ? trainer_train_step(self, &batch, true, error)
                        : trainer_evaluation_step(self, &batch, error));
    }
    if (!training || !self->records)
        return LS_OK;
    LS_TRY(trainer_record_step(self, &batch, error));
    for (; batch.place < NETWORK_MAX_INPUTS; batch.place++) {
        LS_TRY(feed_write_state(feed, error));
        LS_TRY(trainer_train_step(self, &batch, false, error)); /* a graph's first launch uploads */
    }
    return LS_OK;
}

static int all_sizes(trainer *self, ls_error *error) {
    feed *feeds[] = {&self->train, &self->test};
    for (int index = 0; index < 2; index++) {
        if (feeds[index]->batches > 1)
            LS_TRY(one_size(self, feeds[index], self->global_batch, error));
        LS_TRY(one_size(self, feeds[index], feeds[index]->last, error));
    }
    return LS_OK;
}

static int set_initial_parameters(trainer *self, ls_error *error) {
    size_t bytes = self->graph.parameter_count * sizeof(float);
    device *device = self->device;
    float *parameters = malloc(bytes);
    if (!parameters)
        return ls_fail(error, LS_FAILED, "out of memory");
    network_initialise(&self->graph, (uint64_t)self->settings->seed, parameters);
    int status = device->is->copy(device, self->stream, self->mode->parameters, parameters, bytes,
                                  COPY_HOST_TO_DEVICE, error);
    if (status == LS_OK)
        status = device->is->stream_synchronize(device, self->stream, error);
    free(parameters);
    LS_TRY(status);
    return network_pack(self->network, self->stream, self->mode->parameters, error);
}

static int set_initial_state(trainer *self, ls_error *error) {
    size_t bytes = self->graph.parameter_count * sizeof(float);
    device *device = self->device;
    mode *mode = self->mode;
    LS_TRY(set_initial_parameters(self, error));
    LS_TRY(device->is->fill_zero(device, self->stream, mode->gradients, bytes, error));
    for (int moment = 0; moment < MODE_MAX_MOMENTS; moment++)
        if (mode->moments[moment])
            LS_TRY(
                device->is->fill_zero(device, self->stream, mode->moments[moment], bytes, error));
    mode->is->parameters_changed(mode);
    float loss_scale = self->optimizer.scaling ? LOSS_SCALE_INITIAL : 1;
    *self->train.host_state = (step_state){.loss_scale = loss_scale};
    *self->test.host_state = (step_state){.loss_scale = 1};
    LS_TRY(feed_write_state(&self->train, error));
    return feed_write_state(&self->test, error);
}

int trainer_warm_up(trainer *self, ls_error *error) {
    double start = clock_seconds();
    LS_TRY(all_sizes(self, error));
    LS_TRY(trainer_price_strictness(self, error));
    LS_TRY(set_initial_state(self, error));
    self->warmup_seconds = clock_seconds() - start;
    return LS_OK;
}
