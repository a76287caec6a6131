/* Warm-up on scratch state: first-use compilation, page faults, connections. Runs the whole step
 * path, collectives included, for each batch size that will come, records the steps where they are
 * replayed, then gives parameters and moments their real initial values, so that nothing of it is
 * left. */
#include "train/warmup.h"
#include "launch/lifeline.h"
#include "train/load_weights.h"
#include "train/price.h"
#include "train/step.h"
#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRAINING_STEPS = 2 };

void trainer_describe_warmup(char *out, size_t capacity) {
    snprintf(out, capacity, "%d steps of each batch size", TRAINING_STEPS);
}

static int one_size(trainer *self, feed *feed, int64_t global_count, ls_error *error) {
    bool training = feed->settings.training;
    input_batch batch;
    lifeline_at("warm-up", 0, training ? global_count : -global_count); /* a place of its own */
    feed_blank(feed, global_count, &batch);
    for (int step = 0; step < (training ? TRAINING_STEPS : 1); step++) {
        LS_TRY(feed_write_state(feed, error)); /* the cursor back to the start */
        LS_TRY(step_clock_begin(self->learner.mode->clock, false, error));
        LS_TRY(training ? trainer_train_step(self, &batch, true, error)
                        : learner_evaluate(&self->learner, &self->input, &batch, error));
    }
    if (!training || !self->recordings.records)
        return LS_OK;
    LS_TRY(recordings_add(&self->recordings, &self->learner, &batch, input_places(&self->input),
                          error));
    for (; batch.place < input_places(&self->input); batch.place++) {
        LS_TRY(feed_write_state(feed, error));
        LS_TRY(trainer_train_step(self, &batch, false, error)); /* a graph's first launch uploads */
    }
    return LS_OK;
}

static int several_steps(trainer *self, ls_error *error) {
    input_batch batch;
    LS_TRY(recordings_add_several(&self->recordings, &self->learner, &self->input, error));
    if (!self->recordings.several)
        return LS_OK;
    feed_blank(&self->input.train, self->global_batch, &batch);
    LS_TRY(feed_write_state(&self->input.train, error));
    return trainer_train_several(self, &batch, error);
}

static int all_sizes(trainer *self, ls_error *error) {
    feed *feeds[] = {&self->input.train, &self->input.test};
    for (int index = 0; index < 2; index++) {
        if (feeds[index]->batches > 1 && feeds[index]->last != self->global_batch)
            LS_TRY(one_size(self, feeds[index], self->global_batch, error));
        LS_TRY(one_size(self, feeds[index], feeds[index]->last, error));
    }
    LS_TRY(several_steps(self, error));
    return LS_OK;
}

/* In pieces: a whole array beside the run's own would be the most memory that it ever takes. */
static int set_initial_parameters(trainer *self, ls_error *error) {
    enum { PIECE = 1 << 18 };
    store *store = self->learner.mode->store;
    size_t count = self->graph.parameter_count;
    float *values = malloc(PIECE * sizeof *values);
    int status = values ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    for (size_t first = 0; first < count && status == LS_OK; first += PIECE) {
        store_span piece = {first, count - first < PIECE ? count - first : PIECE};
        network_initialise_part(&self->graph, (uint64_t)self->settings->seed, first, piece.count,
                                values);
        status = store_write(store, self->engine.stream, STORE_PARAMETERS, piece, values, error);
    }
    free(values);
    return status;
}

static int set_initial_buffers(trainer *self, ls_error *error) {
    store_span whole = {0, self->graph.buffer_count};
    float *values = malloc((whole.count + 1) * sizeof *values);
    if (!values)
        return ls_fail(error, LS_FAILED, "out of memory");
    network_initialise_buffers(&self->graph, (uint64_t)self->settings->seed, values);
    int status = store_write(self->learner.mode->store, self->engine.stream, STORE_BUFFERS, whole,
                             values, error);
    free(values);
    return status;
}

static int set_random_weights(trainer *self, ls_error *error) {
    LS_TRY(set_initial_parameters(self, error));
    LS_TRY(set_initial_buffers(self, error));
    return mode_parameters_written(self->learner.mode, error);
}

/* --init; the log has what was done beside reading. */
static int set_given_weights(trainer *self, ls_error *error) {
    text_buffer notes = {0};
    int status = trainer_load_weights(self, &notes, error);
    if (status == LS_OK)
        status = text_buffer_check(&notes, error);
    for (char *rest = notes.bytes, *line = rest ? strtok_r(rest, "\n", &rest) : NULL;
         line && status == LS_OK; line = strtok_r(NULL, "\n", &rest))
        status = run_note(self->run, error, "init  %s", line);
    text_free(&notes);
    return status;
}

static int set_initial_state(trainer *self, ls_error *error) {
    store *store = self->learner.mode->store;
    LS_TRY(store_clear(store, self->engine.stream, STORE_BUFFERS, error)); /* the lanes' too */
    LS_TRY(trainer_begins_with_weights(self) ? set_given_weights(self, error)
                                             : set_random_weights(self, error));
    LS_TRY(store_clear(store, self->engine.stream, STORE_GRADIENTS, error));
    for (store_kind kind = STORE_AVERAGE; kind < STORE_KINDS; kind++)
        LS_TRY(store_clear(store, self->engine.stream, kind, error));
    float loss_scale = self->learner.optimizer.scaling ? LOSS_SCALE_INITIAL : 1;
    *self->input.train.host_state = (step_state){.loss_scale = loss_scale};
    *self->input.test.host_state = (step_state){.loss_scale = 1};
    LS_TRY(feed_write_state(&self->input.train, error));
    return feed_write_state(&self->input.test, error);
}

int trainer_warm_up(trainer *self, ls_error *error) {
    if (!trainer_ablates(self, "compute")) /* no step follows */
        LS_TRY(all_sizes(self, error));
    LS_TRY(trainer_price_strictness(self, error));
    return set_initial_state(self, error);
}
