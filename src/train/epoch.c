/* An epoch of training and of evaluation. The clock of the training time starts before the loader
 * does, so nothing is read ahead outside it, and stops after the last step on the slowest rank. */
#include "train/epoch.h"
#include "base/clock.h"
#include "launch/lifeline.h"
#include "train/loss_watch.h"
#include "train/profile.h"
#include "train/step.h"
#include "train/trainer.h"

#include <math.h>

/* Over the ranks: of a strict run the same bits however many there are. */
static int sum_over_ranks(trainer *self, double *values, size_t count, ls_error *error) {
    if (self->settings->mode.strict)
        return comm_sum_tree_double(self->control, values, count, error);
    return comm_allreduce_double(self->control, values, count, REDUCTION_SUM, error);
}

static int clear_totals(trainer *self, ls_error *error) {
    return self->engine.device->is->fill_zero(
        self->engine.device, self->engine.stream, self->learner.mode->totals,
        (size_t)self->learner.mode->lane_count * sizeof(loss_totals), error);
}

/* [lane_count] of them. */
static int write_totals(trainer *self, const loss_totals *totals, ls_error *error) {
    device *device = self->engine.device;
    LS_TRY(device->is->copy(device, self->engine.stream, self->learner.mode->totals, totals,
                            (size_t)self->learner.mode->lane_count * sizeof *totals,
                            COPY_HOST_TO_DEVICE, error));
    return device->is->stream_synchronize(device, self->engine.stream, error);
}

/* What all ranks' totals come to; accuracies in [0, 1]. */
typedef struct mean_totals {
    double loss, accuracy, top5_accuracy;
} mean_totals;

/* Every image must have been counted exactly once. */
static int sum_totals(trainer *self, const feed *split, const char *phase, mean_totals *out,
                      ls_error *error) {
    loss_totals totals;
    LS_TRY(trainer_read_totals(self, &totals, error));
    double loss_sum = totals.loss_sum;
    int64_t counts[] = {totals.correct, totals.samples, totals.among_five};
    LS_TRY(sum_over_ranks(self, &loss_sum, 1, error));
    LS_TRY(comm_allreduce_int64(self->control, counts, 3, REDUCTION_SUM, error));
    if (counts[1] != split->data->facts.samples)
        return ls_fail(error, LS_FAILED, "%s counted %lld images of %lld", phase,
                       (long long)counts[1], (long long)split->data->facts.samples);
    double images = (double)counts[1];
    *out = (mean_totals){loss_sum / images, (double)counts[0] / images, (double)counts[2] / images};
    if (isfinite(out->loss))
        return LS_OK;
    if (self->evaluates)
        return ls_fail(error, LS_FAILED,
                       "the loss is not a finite number (nor are the weights, or --precision %s is "
                       "too small for them)",
                       self->settings->model.precision);
    if (split == &self->input.train)
        LS_TRY(loss_watch_check(self, error)); /* which rank, and when */
    if (!trainer_ablates(self, "comm"))
        return ls_fail(error, LS_FAILED,
                       "the loss of %s is not a finite number (--learning-rate %g is too high?)",
                       phase, self->settings->optimizer.learning_rate);
    return LS_OK;
}

/* Mean loss of the step that just ended, over all ranks, from the growth of the totals. */
static int log_step(trainer *self, int epoch, loss_totals *before, ls_error *error) {
    loss_totals now;
    LS_TRY(trainer_read_totals(self, &now, error));
    double sums[2] = {now.loss_sum - before->loss_sum, (double)(now.samples - before->samples)};
    *before = now;
    LS_TRY(comm_allreduce_double(self->control, sums, 2, REDUCTION_SUM, error));
    LS_TRY(run_step(self->run, self->steps, sums[0] / sums[1], error));
    return step_log_add(self->step_log, self->steps, epoch, sums[0] / sums[1], error);
}

/* Only where someone watches, and not at every step. */
static int show_progress(trainer *self, int epoch, int64_t step, ls_error *error) {
    if (!run_wants_progress(self->run))
        return LS_OK;
    loss_totals totals;
    double now = clock_seconds();
    LS_TRY(trainer_read_totals(self, &totals, error));
    int64_t images = (step - self->at.first) * self->global_batch;
    run_progress(self->run, epoch, step, self->input.train.batches,
                 (double)images / (now - self->at.started),
                 totals.samples ? totals.loss_sum / (double)totals.samples : NAN);
    return LS_OK;
}

/* Of an asynchronous device's epoch, two steps are timed: a timed step is not a replayed one, and
 * the host waits for it. */
static bool is_sampled(const trainer *self, int epoch, int64_t index) {
    if (trainer_is_profiled(self, epoch, index))
        return true;
    if (!self->engine.device->facts.asynchronous)
        return true;
    int64_t batches = self->input.train.batches;
    return index == batches / 3 || index == 2 * batches / 3;
}

/* Of the last sampled step, if it has not been done. An asynchronous device's is collected when the
 * next one begins or the epoch has ended: the host does not wait for a step while it has others to
 * put into the stream. */
static int collect_times(trainer *self, ls_error *error) {
    const step_round *rounds;
    double own[STEP_PARTS] = {0};
    if (!step_clock_has(self->learner.mode->clock))
        return LS_OK;
    LS_TRY(step_clock_collect(self->learner.mode->clock, own, error));
    int count = step_clock_rounds(self->learner.mode->clock, &rounds);
    balance_add(&self->ranks.balance, rounds, count, own);
    for (int part = 0; part < STEP_PARTS; part++)
        self->parts[part] += own[part];
    return LS_OK;
}

/* Steps from `index` on that one recording makes: 1 where it is not the one of several. What these
 * need: full batches, the one that they make for the step behind them too, none of which is
 * sampled, and no hash of the parameters between them. */
static int steps_together(const trainer *self, int epoch, int64_t index) {
    int steps = self->recordings.steps;
    int64_t behind = index + steps;
    if (!self->recordings.several || index % input_places(&self->input) != 0 ||
        behind >= self->input.train.batches ||
        feed_batch_samples(&self->input.train, behind) != self->global_batch ||
        steps > step_certificate_steps(&self->certificate, self->steps))
        return 1;
    for (int64_t each = index; each <= behind; each++)
        if (is_sampled(self, epoch, each))
            return 1;
    return steps;
}

static int several_steps(trainer *self, int64_t index, ls_error *error) {
    input_batch batch, later;
    int steps = self->recordings.steps;
    LS_TRY(input_next(&self->input, index, &batch, error));
    LS_TRY(trainer_train_several(self, &batch, error));
    step_certificate_batch(&self->certificate, index, &batch);
    for (int number = 1; number < steps; number++) {
        LS_TRY(feed_next(&self->input.train, index + number, &later, error));
        step_certificate_batch(&self->certificate, index + number, &later);
    }
    return input_replayed(&self->input, index, steps, error);
}

/* --ablate compute: the loader's batch is taken, and given back for the next. */
static int only_load(trainer *self, int64_t index, ls_error *error) {
    input_batch batch;
    double started = clock_seconds();
    LS_TRY(feed_next(&self->input.train, index, &batch, error));
    self->parts[STEP_DATA] += clock_seconds() - started;
    self->only_loaded += batch.loaded;
    return LS_OK;
}

static int one_step(trainer *self, const epoch_record *record, int64_t index, ls_error *error) {
    input_batch batch;
    bool profiled = trainer_is_profiled(self, record->epoch, index);
    bool sampled = is_sampled(self, record->epoch, index);
    if (sampled)
        LS_TRY(collect_times(self, error));
    if (profiled)
        LS_TRY(trace_step_begin(self->profile.trace, error));
    /* What runs beside something else has no time of its own: where it is timed, it does not. */
    self->learner.optimizer.at_once = sampled && self->engine.device->facts.asynchronous;
    LS_TRY(step_clock_begin(self->learner.mode->clock, sampled, error));
    device_range_begin(self->engine.device, "load");
    LS_TRY(input_next(&self->input, index, &batch, error));
    device_range_end(self->engine.device);
    step_certificate_batch(&self->certificate, index, &batch);
    LS_TRY(trainer_train_step(self, &batch, sampled, error));
    if (!sampled && index + 1 < self->input.train.batches &&
        !is_sampled(self, record->epoch, index + 1))
        LS_TRY(trainer_look_ahead(self, index + 1, error));
    if (profiled)
        LS_TRY(trace_step_end(self->profile.trace, error));
    self->totals.sampled_steps += sampled && self->engine.device->facts.asynchronous;
    return self->engine.device->facts.asynchronous ? LS_OK : collect_times(self, error);
}

static int train_steps(trainer *self, const epoch_record *record, bool *stop, ls_error *error) {
    int64_t first = self->at.first;
    bool loads = trainer_ablates(self, "compute");
    loss_totals before = {0};
    if (self->step_log && first > 0)
        LS_TRY(trainer_read_totals(self, &before, error));
    for (int64_t index = first, steps; index < self->input.train.batches; index += steps) {
        lifeline_at("training", record->epoch, index + 1);
        steps = steps_together(self, record->epoch, index);
        LS_TRY(loads ? only_load(self, index, error)
                     : (steps > 1 ? several_steps(self, index, error)
                                  : one_step(self, record, index, error)));
        self->steps += steps;
        LS_TRY(step_certificate_step(&self->certificate, index + steps - 1, self->steps, error));
        if (self->step_log)
            LS_TRY(log_step(self, record->epoch, &before, error));
        LS_TRY(show_progress(self, record->epoch, index + steps, error));
        LS_TRY(saver_after_step(self, record->epoch, index + steps, steps, stop, error));
        ledger_look(self);
        if (*stop)
            return LS_OK;
    }
    return self->engine.device->is->stream_synchronize(self->engine.device, self->engine.stream,
                                                       error);
}

/* Where the epoch's time went: measured at every step, or, from samples, their shares of it. */
static phase_seconds phases_of(const trainer *self, double waiting, double seconds) {
    const double *parts = self->parts;
    double scale = 1, sum = 0;
    for (int part = 0; part < STEP_PARTS; part++)
        sum += parts[part];
    if (self->engine.device->facts.asynchronous && !trainer_ablates(self, "compute"))
        scale = sum > 0 ? seconds / sum : NAN;
    return (phase_seconds){.data = scale * parts[STEP_DATA],
                           .forward = scale * parts[STEP_FORWARD],
                           .backward = scale * parts[STEP_BACKWARD],
                           .communication = scale * parts[STEP_COMMUNICATION],
                           .waiting = scale * fmin(waiting, parts[STEP_COMMUNICATION]),
                           .optimizer = scale * parts[STEP_OPTIMIZER]};
}

/* The slowest rank's time, and the longest that a rank did not run; the phases' means. */
static int combine_times(trainer *self, epoch_record *record, ls_error *error) {
    phase_seconds *p = &record->phases;
    double means[] = {p->data, p->forward, p->backward, p->communication, p->optimizer, p->waiting};
    double longest[] = {record->seconds, record->suspended_seconds};
    LS_TRY(comm_allreduce_double(self->control, longest, 2, REDUCTION_MAX, error));
    record->seconds = longest[0];
    record->suspended_seconds = longest[1];
    LS_TRY(comm_allreduce_double(self->control, means, 6, REDUCTION_SUM, error));
    double size = (double)self->me->size;
    *p = (phase_seconds){means[0] / size, means[1] / size, means[2] / size,
                         means[3] / size, means[4] / size, means[5] / size};
    return LS_OK;
}

/* Every rank's own times, and who waited for whom. */
static int compare_ranks(trainer *self, epoch_record *record, ls_error *error) {
    rank_epoch mine = {.seconds = record->seconds};
    double waiting;
    LS_TRY(balance_compare(&self->ranks.balance, &waiting, &mine.pace, error));
    mine.phases = record->phases = phases_of(self, waiting, record->seconds);
    monitor_clocks(self->monitor, &mine.clocks);
    LS_TRY(comm_allgather_bytes(self->control, &mine, self->ranks.epochs, sizeof mine, error));
    for (int rank = 0; rank < self->me->size; rank++)
        rank_epoch_add(&self->ranks.sums[rank], &self->ranks.epochs[rank]);
    record->ranks = self->ranks.epochs;
    return LS_OK;
}

static int read_done(trainer *self, done_work *out, ls_error *error) {
    loss_totals totals;
    LS_TRY(trainer_read_totals(self, &totals, error));
    LS_TRY(feed_read_state(&self->input.train, error));
    out->images = totals.samples;
    out->skipped = self->input.train.host_state->skipped;
    out->steps = self->input.train.host_state->step + out->skipped;
    out->norms = self->input.train.host_state->gradient_norm_sum;
    if (!trainer_ablates(self, "compute"))
        return LS_OK;
    out->images = self->only_loaded; /* the device has seen none */
    out->steps = self->steps;
    return LS_OK;
}

/* All ranks' images; the updates of those that update. Nothing may be left out of the time. */
static int count_timed(trainer *self, const done_work *before, const done_work *after,
                       epoch_record *record, ls_error *error) {
    record->images = after->images - before->images;
    record->steps = after->steps - before->steps;
    LS_TRY(comm_allreduce_int64(self->control, &record->images, 1, REDUCTION_SUM, error));
    LS_TRY(comm_allreduce_int64(self->control, &record->steps, 1, REDUCTION_MAX, error));
    int64_t images = self->input.train.data->facts.samples, steps = self->input.train.batches;
    if (record->images == images && record->steps == steps)
        return LS_OK;
    return ls_fail(error, LS_FAILED,
                   "the training time of epoch %d holds %lld images of %lld, %lld steps of %lld",
                   record->epoch, (long long)record->images, (long long)images,
                   (long long)record->steps, (long long)steps);
}

/* What loss scaling did in this epoch: rank 0's, which always updates. */
static int note_scaling(trainer *self, int64_t skipped, epoch_record *record, ls_error *error) {
    if (!self->learner.optimizer.scaling)
        return LS_OK;
    record->skipped_updates = skipped;
    record->loss_scale = (double)self->input.train.host_state->loss_scale;
    if (record->skipped_updates == record->steps && record->loss_scale < 1 &&
        !trainer_ablates(self, "comm"))
        return ls_fail(
            error, LS_FAILED,
            "no update of epoch %d was made: gradients were not finite at any loss scale "
            "down to %g (a smaller --learning-rate, or --precision bf16, may help)",
            record->epoch, record->loss_scale);
    return LS_OK;
}

/* That of the last of `steps` steps; NAN on a rank whose device made none (dp's but rank 0). */
static double last_rate(const rate_table *table, int64_t steps) {
    if (steps < 1)
        return NAN;
    return (double)table->rates[steps < table->count ? steps - 1 : table->count - 1];
}

/* Rank 0's, which always updates. */
static void note_norm(const trainer *self, const done_work *before, const done_work *after,
                      epoch_record *record) {
    int64_t updates = record->steps - (after->skipped - before->skipped);
    bool measured = optimizer_clips_norm(&self->learner.optimizer) && updates > 0;
    record->gradient_norm = measured ? (after->norms - before->norms) / (double)updates : NAN;
}

/* From its start, or from where a checkpoint left it: that has filled in `at`. */
static int begin_epoch(trainer *self, int epoch, ls_error *error) {
    epoch_progress *at = &self->at;
    at->suspended_started = pulse_stopped_seconds(self->pulse);
    LS_TRY(clear_totals(self, error));
    if (at->first > 0)
        LS_TRY(write_totals(self, self->resumed.totals, error));
    balance_start(&self->ranks.balance);
    memcpy(self->parts, at->parts, sizeof self->parts);
    LS_TRY(self->control->is->barrier(self->control, error));
    energy_start(self);
    monitor_start(self->monitor);
    if (at->first == 0)
        LS_TRY(read_done(self, &at->before, error));
    at->cpu_started = clock_cpu_seconds();
    at->started = clock_seconds();
    return feed_start_epoch(&self->input.train, epoch, at->first, error);
}

/* Everything but the losses. */
static int end_epoch(trainer *self, const done_work *after, epoch_record *record, ls_error *error) {
    epoch_progress *at = &self->at;
    LS_TRY(count_timed(self, &at->before, after, record, error));
    LS_TRY(compare_ranks(self, record, error));
    record->suspended_seconds =
        at->suspended_seconds + pulse_stopped_seconds(self->pulse) - at->suspended_started;
    LS_TRY(combine_times(self, record, error));
    LS_TRY(note_scaling(self, after->skipped - at->before.skipped, record, error));
    note_norm(self, &at->before, after, record);
    record->learning_rate = last_rate(&self->rates, after->steps);
    return step_certificate_epoch(&self->certificate, record->epoch, self->steps, error);
}

int trainer_train_epoch(trainer *self, epoch_record *record, double *cpu_seconds, bool *stop,
                        ls_error *error) {
    epoch_progress *at = &self->at;
    done_work after;
    LS_TRY(begin_epoch(self, record->epoch, error));
    LS_TRY(train_steps(self, record, stop, error));
    if (*stop)
        return LS_OK;
    double own = clock_seconds() - at->started;
    record->seconds = at->seconds + own;
    self->clocks.trained += own;
    LS_TRY(collect_times(self, error));
    LS_TRY(read_done(self, &after, error));
    monitor_stop(self->monitor);
    *cpu_seconds = at->cpu_seconds + clock_cpu_seconds() - at->cpu_started;
    LS_TRY(saver_before_evaluation(self, record->epoch, error));
    LS_TRY(end_epoch(self, &after, record, error));
    *at = (epoch_progress){.seconds = record->seconds}; /* which no total has yet */
    if (trainer_ablates(self, "compute"))
        return LS_OK;
    mean_totals means;
    LS_TRY(sum_totals(self, &self->input.train, "training", &means, error));
    record->train_loss = means.loss;
    record->train_accuracy = means.accuracy;
    return LS_OK;
}

int trainer_evaluate(trainer *self, epoch_record *record, bool *stop, ls_error *error) {
    double start = clock_seconds();
    LS_TRY(optimizer_exchange_average(&self->learner.optimizer, error));
    LS_TRY(mode_share_buffers(self->learner.mode, error));
    LS_TRY(clear_totals(self, error));
    LS_TRY(feed_start_epoch(&self->input.test, record->epoch, 0, error));
    for (int64_t index = 0; index < self->input.test.batches; index++) {
        input_batch batch;
        lifeline_at("evaluation", record->epoch, index + 1);
        LS_TRY(feed_next(&self->input.test, index, &batch, error));
        LS_TRY(learner_evaluate(&self->learner, &self->input, &batch, error));
        if (self->answers)
            LS_TRY(answers_take(self->answers, index, &batch, error));
        LS_TRY(saver_in_evaluation(self, stop, error));
        if (*stop)
            return optimizer_exchange_average(&self->learner.optimizer, error);
    }
    mean_totals means;
    LS_TRY(sum_totals(self, &self->input.test, "evaluation", &means, error));
    record->test_loss = means.loss;
    record->test_accuracy = means.accuracy;
    record->test_top5_accuracy = means.top5_accuracy;
    LS_TRY(optimizer_exchange_average(&self->learner.optimizer, error));
    record->evaluation_seconds = clock_seconds() - start;
    return LS_OK;
}
