/* The steps of a run: one, computed or replayed as a recorded graph; several at once; and the next
 * one's batch. */
#include "train/step.h"
#include "train/trainer.h"

int trainer_train_step(trainer *self, const input_batch *batch, bool sampled, ls_error *error) {
    learner *learner = &self->learner;
    const engine *engine = &self->engine;
    device_graph *graph = sampled ? NULL : recordings_find(&self->recordings, batch);
    input_batch here = *batch;
    if (!graph)
        return learner_step(learner, &self->input, batch, sampled, error);
    LS_TRY(learner_have(learner, &self->input, &here, sampled, error));
    LS_TRY(engine->device->is->graph_launch(engine->device, graph, engine->stream, error));
    return engine_step_put(engine, error);
}

int trainer_train_several(trainer *self, const input_batch *batch, ls_error *error) {
    const engine *engine = &self->engine;
    input_batch here = *batch;
    LS_TRY(learner_have(&self->learner, &self->input, &here, false, error));
    LS_TRY(input_replay(&self->input, &here, error));
    LS_TRY(engine->device->is->graph_launch(engine->device, self->recordings.several,
                                            engine->stream, error));
    return engine_step_put(engine, error);
}

int trainer_look_ahead(trainer *self, int64_t index, ls_error *error) {
    input_batch next;
    device_stream *stream;
    if (!input_works_ahead(&self->input))
        return LS_OK;
    LS_TRY(input_look_ahead(&self->input, index, &next, &stream, error));
    LS_TRY(mode_make(self->learner.mode, stream, &next, error));
    return input_looked_ahead(&self->input, error);
}
