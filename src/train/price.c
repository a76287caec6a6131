/* What strictness costs, measured in the run itself: in warm-up, on scratch state, steps of the
 * whole batch are made as this run makes them and as it would without --strict, in turn. The second
 * way has a network, a mode and an optimizer of its own, with all of the rank's threads and the
 * exchange of gradients that it would choose; they are gone again before training begins. */
#include "train/price.h"
#include "base/clock.h"
#include "launch/lifeline.h"
#include "train/prepare.h"
#include "train/run_mode.h"
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 6, UNCOUNTED = 1 };

/* Where the device has a limit of its own, or was given one, this run's memory must fit twice, on
 * every rank. */
static int has_room(trainer *self, bool *out, ls_error *error) {
    size_t free_bytes, total_bytes;
    int64_t enough = self->settings->device.memory_mb == 0;
    if (enough && self->engine.device->is->memory) {
        size_t uses[MEMORY_KINDS], own = 0;
        mode_memory(self->learner.mode, uses);
        for (int use = 0; use < MEMORY_KINDS; use++)
            own += uses[use];
        LS_TRY(
            self->engine.device->is->memory(self->engine.device, &free_bytes, &total_bytes, error));
        enough = free_bytes / 2 > own;
    }
    LS_TRY(comm_allreduce_int64(self->control, &enough, 1, REDUCTION_MIN, error));
    *out = enough;
    return LS_OK;
}

/* The same model with plans for this rank's whole share of `batch`. */
static int open_plain(trainer *self, int64_t batch, learner *out, ls_error *error) {
    *out = (learner){.engine = &self->engine, .graph = &self->graph};
    LS_TRY(network_create(out->graph, self->engine.device, trainer_precision(self), &out->network,
                          error));
    network_recompute(out->network, recompute_of(self->settings->model.recompute));
    LS_TRY(trainer_prepare_batch(self, out->network, self->me->rank, batch, error));
    network_give_room(out->network, input_beside(&self->settings->input));
    LS_TRY(network_seal(out->network, error));
    LS_TRY(optimizer_create(&out->optimizer, &self->settings->optimizer,
                            self->learner.optimizer.scaling, error));
    return trainer_open_mode(self, out, false, error);
}

/* Of the slowest rank. */
static int step_seconds(trainer *self, learner *learner, int64_t global_count, double *out,
                        ls_error *error) {
    const engine *engine = &self->engine;
    input_batch batch;
    feed_blank(&self->input.train, global_count, &batch);
    LS_TRY(feed_write_state(&self->input.train, error));
    LS_TRY(step_clock_begin(learner->mode->clock, false, error));
    LS_TRY(self->control->is->barrier(self->control, error));
    double start = clock_seconds();
    LS_TRY(learner_step(learner, &self->input, &batch, true, error));
    LS_TRY(mode_rest(learner->mode, error));
    LS_TRY(engine->device->is->stream_synchronize(engine->device, engine->stream, error));
    *out = clock_seconds() - start;
    return comm_allreduce_double(self->control, out, 1, REDUCTION_MAX, error);
}

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, ascending);
    return (values[count / 2] + values[(count - 1) / 2]) / 2;
}

static int measure(trainer *self, learner *plain, int64_t batch, double *out, ls_error *error) {
    double with[ROUNDS], without[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        lifeline_at("warm-up", 1, round);
        LS_TRY(step_seconds(self, &self->learner, batch, &with[round], error));
        LS_TRY(step_seconds(self, plain, batch, &without[round], error));
    }
    int counted = ROUNDS - UNCOUNTED;
    *out = median(with + UNCOUNTED, counted) / median(without + UNCOUNTED, counted) - 1;
    return LS_OK;
}

static int note(trainer *self, ls_error *error) {
    double price = self->totals.strict_cost;
    if (self->me->rank != 0)
        return LS_OK;
    if (isnan(price))
        return run_note(self->run, error,
                        "strict  its cost was not measured: no memory for a second network");
    return run_note(self->run, error,
                    "strict  a step takes %.1f%% %s than without --strict (median of %d each, in "
                    "warm-up)",
                    100 * fabs(price), price < 0 ? "less" : "more", ROUNDS - UNCOUNTED);
}

int trainer_price_strictness(trainer *self, ls_error *error) {
    int64_t batch = input_largest_batch(&self->input);
    learner plain;
    bool room;
    self->totals.strict_cost = NAN;
    if (!self->settings->mode.strict || strcmp(self->settings->mode.strict_cost, "on") != 0 ||
        !trainer_ablates(self, "none"))
        return LS_OK;
    LS_TRY(has_room(self, &room, error));
    if (!room)
        return note(self, error);
    LS_TRY(
        open_plain(self, batch, &plain, error)); /* what a failed one holds goes with the process */
    LS_TRY(measure(self, &plain, batch, &self->totals.strict_cost, error));
    learner_close(&plain);
    return note(self, error);
}
