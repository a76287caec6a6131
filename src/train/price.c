/* What strictness costs, measured in the run itself: in warm-up, on scratch state, steps of the
 * whole batch are made as this run makes them and as it would without --strict, in turn. The second
 * way has a network, a mode and an optimizer of its own, with all of the rank's threads and the
 * exchange of gradients that it would choose; they are gone again before training begins. */
#include "base/clock.h"
#include "launch/lifeline.h"
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>

enum { ROUNDS = 6, UNCOUNTED = 1 };

/* Where the device has a limit of its own, this run's arrays must fit twice, on every rank. */
static int has_room(trainer *self, bool *out, ls_error *error) {
    size_t free_bytes, total_bytes;
    int64_t enough = 1;
    if (self->device->is->memory) {
        size_t arrays = 6 * self->graph.parameter_count * sizeof(float);
        LS_TRY(self->device->is->memory(self->device, &free_bytes, &total_bytes, error));
        enough = free_bytes / 2 > network_arena_bytes(self->network) + arrays;
    }
    LS_TRY(comm_allreduce_int64(self->control, &enough, 1, REDUCTION_MIN, error));
    *out = enough;
    return LS_OK;
}

/* `self` is a copy of the trainer, whose borrowed parts stay the trainer's. */
static int open_plain(trainer *self, int64_t batch, ls_error *error) {
    LS_TRY(
        network_create(&self->graph, self->device, trainer_precision(self), &self->network, error));
    int count = (int)share_of(batch, self->me->rank, self->me->size).count;
    LS_TRY(network_prepare(self->network, count, error));
    LS_TRY(network_seal(self->network, error));
    LS_TRY(optimizer_create(&self->optimizer, self->settings->optimizer,
                            self->settings->learning_rate, self->settings->weight_decay,
                            self->settings->momentum, self->optimizer.scaling, error));
    mode_settings settings = trainer_describe_mode(self);
    optimizer_describe(&self->optimizer, self->update_stream, &settings);
    LS_TRY(mode_create(self->settings->mode, &settings, &self->mode, error));
    return optimizer_attach(&self->optimizer, self->mode, self->network, &self->graph, error);
}

static void close_plain(trainer *self) {
    mode_destroy(self->mode);
    optimizer_destroy(&self->optimizer);
    network_destroy(self->network);
}

/* Of the slowest rank. */
static int step_seconds(trainer *self, int64_t global_count, double *out, ls_error *error) {
    mode_batch batch;
    feed_blank(&self->train, global_count, &batch);
    LS_TRY(feed_write_state(&self->train, error));
    LS_TRY(step_clock_begin(self->mode->clock, false, error));
    LS_TRY(self->control->is->barrier(self->control, error));
    double start = clock_seconds();
    LS_TRY(trainer_train_step(self, &batch, true, error));
    LS_TRY(self->device->is->stream_synchronize(self->device, self->stream, error));
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

static int measure(trainer *strict, trainer *plain, int64_t batch, double *out, ls_error *error) {
    double with[ROUNDS], without[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        lifeline_at("warm-up", 1, round);
        LS_TRY(step_seconds(strict, batch, &with[round], error));
        LS_TRY(step_seconds(plain, batch, &without[round], error));
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
    int64_t batch = self->train.batches > 1 ? self->global_batch : self->train.last;
    train_settings settings = *self->settings;
    bool room;
    self->totals.strict_cost = NAN;
    if (!settings.strict || !trainer_ablates(self, "none"))
        return LS_OK;
    LS_TRY(has_room(self, &room, error));
    if (!room)
        return note(self, error);
    trainer *plain = malloc(sizeof *plain); /* the graph alone is too large for a stack */
    if (!plain)
        return ls_fail(error, LS_FAILED, "out of memory");
    *plain = *self;
    settings.strict = false;
    settings.lanes = 0;
    plain->settings = &settings;
    plain->records = false;
    memset(plain->recordings, 0, sizeof plain->recordings);
    plain->network = NULL;
    plain->mode = NULL;
    int status = open_plain(plain, batch, error);
    if (status == LS_OK)
        status = measure(self, plain, batch, &self->totals.strict_cost, error);
    if (status == LS_OK)
        close_plain(plain);
    free(plain); /* what a failed one holds goes with the process */
    LS_TRY(status);
    return note(self, error);
}
