/* One step, as the data goes through it. */
#include "train/trainer.h"

static int progress(trainer *self, step_place place, ls_error *error) {
    if (!self->progress)
        return LS_OK;
    return self->device->is->write_word(self->device, self->stream, &self->progress->place, place,
                                        error);
}

static int progress_end(trainer *self, const step_state *state, ls_error *error) {
    if (!self->progress)
        return LS_OK;
    LS_TRY(self->device->is->copy(self->device, self->stream, &self->progress->state, state,
                                  sizeof *state, COPY_DEVICE_TO_HOST, error));
    return progress(self, PLACE_IDLE, error);
}

/* From a batch on the device to updated parameters: what a recording holds. */
static int compute_step(trainer *self, const mode_batch *batch, ls_error *error) {
    mode *mode = self->mode;
    device *device = self->device;
    pass *pass = network_pass(self->network, mode_local_count(mode, batch->global_count));

    optimizer_begin(&self->optimizer, batch->state);
    LS_TRY(progress(self, PLACE_FORWARD, error));
    device_range_begin(device, "data");
    LS_TRY(mode->is->begin(mode, batch, pass, error));
    device_range_end(device);
    LS_TRY(step_clock_mark(mode->clock, STEP_DATA, error));

    device_range_begin(device, "forward");
    LS_TRY(network_forward(self->network, pass, self->stream, &mode->hooks, error));
    device_range_begin(device, "loss");
    LS_TRY(mode->is->loss(mode, batch, pass, error));
    device_range_end(device);
    device_range_end(device);
    LS_TRY(step_clock_mark(mode->clock, STEP_FORWARD, error));

    LS_TRY(progress(self, PLACE_BACKWARD, error));
    device_range_begin(device, "backward");
    LS_TRY(network_backward(self->network, pass, self->stream, &mode->hooks, error));
    LS_TRY(mode->is->finish(mode, error));
    device_range_end(device);
    LS_TRY(step_clock_mark(mode->clock, STEP_BACKWARD, error));

    LS_TRY(progress(self, PLACE_OPTIMIZER, error));
    device_range_begin(device, "optimizer");
    LS_TRY(optimizer_update(&self->optimizer, batch->state, error));
    LS_TRY(device->is->ops->advance(device, self->stream, batch->state, batch->loaded,
                                    mode->is->updates(mode), self->optimizer.scaling, error));
    device_range_end(device);
    LS_TRY(step_clock_mark(mode->clock, STEP_OPTIMIZER, error));
    return progress_end(self, batch->state, error);
}

static device_graph *recording_of(const trainer *self, int64_t global_count) {
    for (int index = 0; index < 2; index++)
        if (self->recordings[index].graph && self->recordings[index].global_count == global_count)
            return self->recordings[index].graph;
    return NULL;
}

int trainer_train_step(trainer *self, const mode_batch *batch, bool sampled, ls_error *error) {
    device_graph *recording = sampled ? NULL : recording_of(self, batch->global_count);
    device_range_begin(self->device, "stage");
    LS_TRY(mode_stage(self->mode, batch, error));
    LS_TRY(feed_staged(&self->train, error));
    device_range_end(self->device);
    if (recording)
        return self->device->is->graph_launch(self->device, recording, self->stream, error);
    return compute_step(self, batch, error);
}

int trainer_record_step(trainer *self, const mode_batch *batch, ls_error *error) {
    const device_interface *is = self->device->is;
    if (!self->records || recording_of(self, batch->global_count))
        return LS_OK;
    step_recording *made = &self->recordings[self->recordings[0].graph ? 1 : 0];
    LS_TRY(step_clock_begin(self->mode->clock, false, error));
    LS_TRY(is->graph_begin(self->device, self->stream, error));
    LS_TRY(compute_step(self, batch, error));
    made->global_count = batch->global_count;
    return is->graph_end(self->device, self->stream, &made->graph, error);
}

void trainer_forget_recordings(trainer *self) {
    for (int index = 0; index < 2; index++)
        if (self->recordings[index].graph)
            self->device->is->graph_destroy(self->device, self->recordings[index].graph);
}

int trainer_evaluation_step(trainer *self, const mode_batch *batch, ls_error *error) {
    mode *mode = self->mode;
    pass *pass = network_pass(self->network, mode_local_count(mode, batch->global_count));
    LS_TRY(step_clock_begin(mode->clock, false, error));
    LS_TRY(mode_stage(mode, batch, error));
    LS_TRY(feed_staged(&self->test, error));
    LS_TRY(mode->is->begin(mode, batch, pass, error));
    LS_TRY(network_forward(self->network, pass, self->stream, &mode->hooks, error));
    LS_TRY(mode->is->loss(mode, batch, pass, error));
    return self->device->is->ops->advance(self->device, self->stream, batch->state, batch->loaded,
                                          false, false, error);
}
