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

    optimizer_begin(&self->optimizer, batch->state);
    LS_TRY(progress(self, PLACE_FORWARD, error));
    device_range_begin(device, "data");
    LS_TRY(mode_begin(mode, batch, error));
    device_range_end(device);
    LS_TRY(step_clock_mark(mode->clock, STEP_DATA, error));

    device_range_begin(device, "forward");
    LS_TRY(mode_forward(mode, batch, error));
    device_range_begin(device, "loss");
    LS_TRY(mode_loss(mode, batch, error));
    device_range_end(device);
    device_range_end(device);
    LS_TRY(step_clock_mark(mode->clock, STEP_FORWARD, error));

    LS_TRY(progress(self, PLACE_BACKWARD, error));
    device_range_begin(device, "backward");
    LS_TRY(mode_backward(mode, batch, error));
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

static step_recording *find_recording(trainer *self, const mode_batch *batch) {
    for (int index = 0; index < MAX_RECORDINGS; index++) {
        step_recording *each = &self->recordings[index];
        if (!each->graph ||
            (each->global_count == batch->global_count && each->place == batch->place))
            return each;
    }
    return NULL;
}

/* A batch that no step made ahead: the first of an epoch, and those around a sampled step. */
static int make_now(trainer *self, mode_batch *batch, ls_error *error) {
    mode *mode = self->mode;
    LS_TRY(mode_begin(mode, batch, error));
    batch->made = true;
    return LS_OK;
}

/* Where batches are made ahead, a step has its batch before it begins (a recorded one cannot make
 * it), but for a sampled one, whose part that is. */
static int have_batch(trainer *self, mode_batch *batch, bool sampled, ls_error *error) {
    mode *mode = self->mode;
    if (batch->made) {
        LS_TRY(mode_ahead_end(mode, error));
    } else {
        LS_TRY(mode_stage(mode, batch, error));
        LS_TRY(feed_staged(&self->train, self->stream, error));
        if (mode_works_ahead(mode) && !sampled)
            LS_TRY(make_now(self, batch, error));
    }
    return mode_works_ahead(mode) ? mode_ahead_begin(mode, error) : LS_OK;
}

int trainer_train_step(trainer *self, const mode_batch *batch, bool sampled, ls_error *error) {
    step_recording *recording = sampled ? NULL : find_recording(self, batch);
    mode_batch here = *batch;
    device_range_begin(self->device, "stage");
    LS_TRY(have_batch(self, &here, sampled, error));
    device_range_end(self->device);
    if (recording && recording->graph)
        return self->device->is->graph_launch(self->device, recording->graph, self->stream, error);
    return compute_step(self, &here, error);
}

int trainer_next_batch(trainer *self, int64_t index, mode_batch *out, ls_error *error) {
    if (!self->next.made)
        return feed_next(&self->train, index, out, error);
    *out = self->next;
    self->next.made = false;
    return LS_OK;
}

int trainer_look_ahead(trainer *self, int64_t index, ls_error *error) {
    mode_batch *next = &self->next;
    if (!mode_works_ahead(self->mode))
        return LS_OK;
    device_range_begin(self->device, "load");
    LS_TRY(feed_next(&self->train, index, next, error));
    device_range_end(self->device);
    LS_TRY(mode_make_ahead(self->mode, next, error));
    LS_TRY(feed_staged(&self->train, self->mode->ahead, error));
    next->made = true;
    return LS_OK;
}

int trainer_record_step(trainer *self, const mode_batch *batch, ls_error *error) {
    const device_interface *is = self->device->is;
    mode_batch ready = *batch;
    ready.made = mode_works_ahead(self->mode);
    for (ready.place = 0; ready.place < NETWORK_MAX_INPUTS; ready.place++) {
        step_recording *made = find_recording(self, &ready);
        if (!self->records || !made || made->graph)
            continue;
        LS_TRY(step_clock_begin(self->mode->clock, false, error));
        LS_TRY(is->graph_begin(self->device, self->stream, error));
        LS_TRY(compute_step(self, &ready, error));
        made->global_count = ready.global_count;
        made->place = ready.place;
        LS_TRY(is->graph_end(self->device, self->stream, &made->graph, error));
    }
    return LS_OK;
}

void trainer_forget_recordings(trainer *self) {
    for (int index = 0; index < MAX_RECORDINGS; index++)
        if (self->recordings[index].graph)
            self->device->is->graph_destroy(self->device, self->recordings[index].graph);
}

int trainer_evaluation_step(trainer *self, const mode_batch *batch, ls_error *error) {
    mode *mode = self->mode;
    LS_TRY(step_clock_begin(mode->clock, false, error));
    LS_TRY(mode_stage(mode, batch, error));
    LS_TRY(feed_staged(&self->test, self->stream, error));
    LS_TRY(mode_begin(mode, batch, error));
    LS_TRY(mode_forward(mode, batch, error));
    LS_TRY(mode_loss(mode, batch, error));
    return self->device->is->ops->advance(self->device, self->stream, batch->state, batch->loaded,
                                          false, false, error);
}
