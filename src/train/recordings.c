#include "train/recordings.h"

/* That of the batch, or the first free one; NULL: all are others'. */
static step_recording *find(recordings *self, const input_batch *batch) {
    for (int index = 0; index < MAX_RECORDINGS; index++) {
        step_recording *each = &self->list[index];
        if (!each->graph ||
            (each->global_count == batch->global_count && each->place == batch->place))
            return each;
    }
    return NULL;
}

int recordings_add(recordings *self, learner *learner, const input_batch *batch, int places,
                   ls_error *error) {
    const engine *engine = learner->engine;
    const device_interface *is = engine->device->is;
    input_batch ready = *batch;
    ready.made = places > 1; /* beside the step before it */
    for (ready.place = 0; ready.place < places; ready.place++) {
        step_recording *added = find(self, &ready);
        if (!self->records || !added || added->graph)
            continue;
        LS_TRY(step_clock_begin(learner->mode->clock, false, error));
        LS_TRY(is->graph_begin(engine->device, engine->stream, error));
        LS_TRY(learner_compute(learner, &ready, error));
        added->global_count = ready.global_count;
        added->place = ready.place;
        LS_TRY(is->graph_end(engine->device, engine->stream, &added->graph, error));
    }
    return LS_OK;
}

/* One of several: where batches are made ahead, with the next one beside it. */
static int record_step(learner *learner, input *input, int number, bool last, ls_error *error) {
    input_batch here, next;
    device_stream *stream;
    LS_TRY(input_record(input, number, &here, &next, &stream, error));
    if (input_works_ahead(input))
        LS_TRY(mode_make(learner->mode, stream, &next, error));
    LS_TRY(learner_compute(learner, &here, error));
    return input_recorded(input, number, last, error);
}

int recordings_add_several(recordings *self, learner *learner, input *input, ls_error *error) {
    const engine *engine = learner->engine;
    const device_interface *is = engine->device->is;
    if (self->steps < 2)
        return LS_OK;
    LS_TRY(step_clock_begin(learner->mode->clock, false, error));
    LS_TRY(is->graph_begin(engine->device, engine->stream, error));
    for (int number = 0; number < self->steps; number++)
        LS_TRY(record_step(learner, input, number, number == self->steps - 1, error));
    return is->graph_end(engine->device, engine->stream, &self->several, error);
}

device_graph *recordings_find(recordings *self, const input_batch *batch) {
    step_recording *found = find(self, batch);
    return found ? found->graph : NULL;
}

void recordings_forget(recordings *self, device *device) {
    if (self->several)
        device->is->graph_destroy(device, self->several);
    for (int index = 0; index < MAX_RECORDINGS; index++)
        if (self->list[index].graph)
            device->is->graph_destroy(device, self->list[index].graph);
}
