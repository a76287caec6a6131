#include "train/learner.h"

void learner_close(learner *self) {
    mode_destroy(self->mode);
    optimizer_destroy(&self->optimizer);
    network_destroy(self->network);
}

/* Forward and backward of a micro-batch; behind the last one the gradients are final. */
static int compute_part(learner *self, const input_batch *batch, int number, ls_error *error) {
    mode *mode = self->mode;
    engine *engine = self->engine;
    device *device = engine->device;

    device_range_begin(device, "data");
    LS_TRY(mode_begin(mode, batch, number, error));
    device_range_end(device);
    LS_TRY(step_clock_mark(mode->clock, STEP_DATA, error));

    device_range_begin(device, "forward");
    LS_TRY(mode_forward(mode, batch, error));
    device_range_begin(device, "loss");
    LS_TRY(mode_loss(mode, batch, error));
    device_range_end(device);
    device_range_end(device);
    LS_TRY(step_clock_mark(mode->clock, STEP_FORWARD, error));

    device_range_begin(device, "backward");
    LS_TRY(mode_backward(mode, error));
    if (number == mode->settings.micro_batches - 1)
        LS_TRY(mode->is->finish(mode, error));
    device_range_end(device);
    return step_clock_mark(mode->clock, STEP_BACKWARD, error);
}

int learner_compute(learner *self, const input_batch *batch, ls_error *error) {
    mode *mode = self->mode;
    engine *engine = self->engine;
    device *device = engine->device;

    self->optimizer.shown = engine->progress ? &engine->progress->state : NULL;
    optimizer_begin(&self->optimizer, batch->state, batch->loaded);
    for (int number = 0; number < mode->settings.micro_batches; number++)
        LS_TRY(compute_part(self, batch, number, error));

    device_range_begin(device, "optimizer");
    LS_TRY(optimizer_update(&self->optimizer, error));
    device_range_end(device);
    LS_TRY(step_clock_mark(mode->clock, STEP_OPTIMIZER, error));
    return self->optimizer.advanced ? LS_OK : engine_show(engine, batch->state, error);
}

/* A batch that no step made ahead: the first of an epoch, and those around a sampled step. */
static int make_now(learner *self, input_batch *batch, ls_error *error) {
    LS_TRY(mode_begin(self->mode, batch, 0, error));
    batch->made = true;
    return LS_OK;
}

int learner_have(learner *self, input *input, input_batch *batch, bool sampled, ls_error *error) {
    device *device = self->engine->device;
    device_range_begin(device, "stage");
    LS_TRY(input_stage(input, batch, error));
    if (!batch->made && input_works_ahead(input) && !sampled)
        LS_TRY(make_now(self, batch, error));
    LS_TRY(input_step_begins(input, error));
    device_range_end(device);
    return LS_OK;
}

int learner_step(learner *self, input *input, const input_batch *batch, bool sampled,
                 ls_error *error) {
    input_batch here = *batch;
    LS_TRY(learner_have(self, input, &here, sampled, error));
    LS_TRY(learner_compute(self, &here, error));
    return engine_step_put(self->engine, error);
}

int learner_evaluate(learner *self, input *input, const input_batch *batch, ls_error *error) {
    mode *mode = self->mode;
    const engine *engine = self->engine;
    LS_TRY(step_clock_begin(mode->clock, false, error));
    LS_TRY(input_stage(input, batch, error));
    for (int number = 0; number < mode->settings.micro_batches; number++) {
        LS_TRY(mode_begin(mode, batch, number, error));
        LS_TRY(mode_forward(mode, batch, error));
        LS_TRY(mode_loss(mode, batch, error));
    }
    return engine->device->is->ops->advance(engine->device, engine->stream, batch->state,
                                            batch->loaded, false, false, error);
}
