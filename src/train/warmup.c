/* Warm-up on scratch state: first-use compilation, page faults, connections. Runs the whole step
 * path, collectives included, for each batch size that will come, then gives parameters and
 * moments their real initial values, so that nothing of it is left. */
#include "base/clock.h"
#include "launch/lifeline.h"
#include "train/trainer.h"

#include <stdlib.h>

enum { TRAINING_STEPS = 2 };

typedef struct scratch {
    uint8_t *images;
    int32_t *labels;
} scratch;

static int one_size(trainer *self, const scratch *scratch, int64_t global_count, bool training,
                    ls_error *error) {
    int loader_rank, loader_size;
    lifeline_at("warm-up", 0, training ? global_count : -global_count); /* a place of its own */
    LS_TRY(mode_loader_share(self->settings->mode, &self->mode->settings, &loader_rank,
                             &loader_size, error));
    mode_batch batch = {.global_count = global_count, .training = training};
    if (loader_size > 0) {
        batch.images = scratch->images;
        batch.labels = scratch->labels;
        batch.loaded = (int)share_of(global_count, loader_rank, loader_size).count;
    }
    if (!training)
        return trainer_evaluation_step(self, &batch, error);
    for (int step = 0; step < TRAINING_STEPS; step++)
        LS_TRY(trainer_train_step(self, &batch, NULL, error));
    return LS_OK;
}

static int all_sizes(trainer *self, const scratch *scratch, ls_error *error) {
    const split *splits[] = {&self->train, &self->test};
    for (int index = 0; index < 2; index++) {
        const split *split = splits[index];
        bool training = index == 0;
        if (split->batches > 1)
            LS_TRY(one_size(self, scratch, self->global_batch, training, error));
        LS_TRY(one_size(self, scratch, split->last, training, error));
    }
    return LS_OK;
}

static int set_initial_state(trainer *self, ls_error *error) {
    size_t count = self->graph.parameter_count, bytes = count * sizeof(float);
    device *device = self->device;
    mode *mode = self->mode;
    float *parameters = malloc(bytes);
    if (!parameters)
        return ls_fail(error, LS_FAILED, "out of memory");
    network_initialise(&self->graph, (uint64_t)self->settings->seed, parameters);
    int status = device->is->copy(device, self->stream, mode->parameters, parameters, bytes,
                                  COPY_HOST_TO_DEVICE, error);
    if (status == LS_OK)
        status = device->is->stream_synchronize(device, self->stream, error);
    free(parameters);
    LS_TRY(status);
    LS_TRY(network_pack(self->network, self->stream, mode->parameters, error));
    LS_TRY(device->is->fill_zero(device, self->stream, mode->gradients, bytes, error));
    for (int moment = 0; moment < MODE_MAX_MOMENTS; moment++)
        if (mode->moments[moment])
            LS_TRY(
                device->is->fill_zero(device, self->stream, mode->moments[moment], bytes, error));
    mode->is->parameters_changed(mode);
    self->optimizer.step = 0;
    return LS_OK;
}

int trainer_warm_up(trainer *self, ls_error *error) {
    const dataset_facts *facts = &self->train.data->facts;
    size_t image = (size_t)facts->height * (size_t)facts->width * (size_t)facts->channels;
    double start = clock_seconds();
    scratch scratch = {calloc((size_t)self->global_batch, image),
                       calloc((size_t)self->global_batch, sizeof(int32_t))};
    int status = LS_OK;
    if (!scratch.images || !scratch.labels)
        status = ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK)
        status = all_sizes(self, &scratch, error);
    free(scratch.images);
    free(scratch.labels);
    LS_TRY(status);
    LS_TRY(set_initial_state(self, error));
    self->warmup_seconds = clock_seconds() - start;
    return LS_OK;
}
