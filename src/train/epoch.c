/* An epoch of training and of evaluation. The clock of the training time starts before the loader
 * does, so nothing is read ahead outside it, and stops after the last step on the slowest rank. */
#include "base/clock.h"
#include "launch/lifeline.h"
#include "train/trainer.h"

#include <math.h>

/* Of this rank's lanes (one where the run is not strict), their loss in the tree of their
 * gradients. */
static void add_lanes(loss_totals *lanes, int count, loss_totals *out) {
    for (int step = 1; step < count; step *= 2)
        for (int lane = 0; lane + step < count; lane += 2 * step) {
            lanes[lane].loss_sum += lanes[lane + step].loss_sum;
            lanes[lane].correct += lanes[lane + step].correct;
            lanes[lane].samples += lanes[lane + step].samples;
        }
    *out = lanes[0];
}

/* This rank's totals since they were last cleared. */
static int read_totals(trainer *self, loss_totals *out, ls_error *error) {
    device *device = self->device;
    int count = self->mode->lane_count;
    loss_totals lanes[count];
    LS_TRY(device->is->copy(device, self->stream, lanes, self->mode->totals,
                            (size_t)count * sizeof *lanes, COPY_DEVICE_TO_HOST, error));
    LS_TRY(device->is->stream_synchronize(device, self->stream, error));
    add_lanes(lanes, count, out);
    return LS_OK;
}

/* Over the ranks: of a strict run the same bits however many there are. */
static int sum_over_ranks(trainer *self, double *values, size_t count, ls_error *error) {
    if (self->settings->strict)
        return comm_sum_tree_double(self->control, values, count, error);
    return comm_allreduce_double(self->control, values, count, REDUCTION_SUM, error);
}

static int clear_totals(trainer *self, ls_error *error) {
    return self->device->is->fill_zero(self->device, self->stream, self->mode->totals,
                                       (size_t)self->mode->lane_count * sizeof(loss_totals), error);
}

/* All ranks' totals; every image must have been counted exactly once. */
static int sum_totals(trainer *self, const feed *split, const char *phase, double *loss,
                      double *accuracy, ls_error *error) {
    loss_totals totals;
    LS_TRY(read_totals(self, &totals, error));
    double loss_sum = totals.loss_sum;
    int64_t counts[2] = {totals.correct, totals.samples};
    LS_TRY(sum_over_ranks(self, &loss_sum, 1, error));
    LS_TRY(comm_allreduce_int64(self->control, counts, 2, REDUCTION_SUM, error));
    if (counts[1] != split->data->facts.images)
        return ls_fail(error, LS_FAILED, "%s counted %lld images of %lld", phase,
                       (long long)counts[1], (long long)split->data->facts.images);
    *loss = loss_sum / (double)counts[1];
    *accuracy = (double)counts[0] / (double)counts[1];
    if (!isfinite(*loss) && !trainer_ablates(self, "comm"))
        return ls_fail(error, LS_FAILED,
                       "the loss of %s is not a finite number (--learning-rate %g is too high?)",
                       phase, self->settings->learning_rate);
    return LS_OK;
}

/* Mean loss of the step that just ended, over all ranks, from the growth of the totals. */
static int log_step(trainer *self, int epoch, loss_totals *before, ls_error *error) {
    loss_totals now;
    LS_TRY(read_totals(self, &now, error));
    double sums[2] = {now.loss_sum - before->loss_sum, (double)(now.samples - before->samples)};
    *before = now;
    LS_TRY(comm_allreduce_double(self->control, sums, 2, REDUCTION_SUM, error));
    LS_TRY(run_step(self->run, self->steps, sums[0] / sums[1], error));
    return step_log_add(self->step_log, self->steps, epoch, sums[0] / sums[1], error);
}

/* Only where someone watches, and not at every step. */
static int show_progress(trainer *self, int epoch, int64_t step, double start, ls_error *error) {
    if (!run_wants_progress(self->run))
        return LS_OK;
    loss_totals totals;
    double now = clock_seconds();
    LS_TRY(read_totals(self, &totals, error));
    int64_t images = step * self->global_batch;
    run_progress(self->run, epoch, step, self->train.batches, (double)images / (now - start),
                 totals.samples ? totals.loss_sum / (double)totals.samples : NAN);
    return LS_OK;
}

/* Of an asynchronous device's epoch, two steps are timed: a timed step is not a replayed one, and
 * the host waits for it. */
static bool is_sampled(const trainer *self, int epoch, int64_t index) {
    if (trainer_is_profiled(self, epoch, index))
        return true;
    if (!self->device->facts.asynchronous)
        return true;
    int64_t batches = self->train.batches;
    return index == batches / 3 || index == 2 * batches / 3;
}

/* Of the step that just ended. */
static int add_times(trainer *self, double parts[STEP_PARTS], ls_error *error) {
    const step_round *rounds;
    double own[STEP_PARTS] = {0};
    LS_TRY(step_clock_collect(self->mode->clock, own, error));
    int count = step_clock_rounds(self->mode->clock, &rounds);
    balance_add(&self->balance, rounds, count, own);
    for (int part = 0; part < STEP_PARTS; part++)
        parts[part] += own[part];
    return LS_OK;
}

static int one_step(trainer *self, const epoch_record *record, int64_t index,
                    double parts[STEP_PARTS], ls_error *error) {
    mode_batch batch;
    bool profiled = trainer_is_profiled(self, record->epoch, index);
    bool sampled = is_sampled(self, record->epoch, index);
    if (profiled)
        LS_TRY(trace_step_begin(self->trace, error));
    /* What runs beside something else has no time of its own: where it is timed, it does not. */
    self->optimizer.at_once = sampled && self->device->facts.asynchronous;
    LS_TRY(step_clock_begin(self->mode->clock, sampled, error));
    device_range_begin(self->device, "load");
    LS_TRY(trainer_next_batch(self, index, &batch, error));
    device_range_end(self->device);
    step_certificate_batch(&self->certificate, index, &batch);
    LS_TRY(trainer_train_step(self, &batch, sampled, error));
    if (!sampled && index + 1 < self->train.batches && !is_sampled(self, record->epoch, index + 1))
        LS_TRY(trainer_look_ahead(self, index + 1, error));
    if (profiled)
        LS_TRY(trace_step_end(self->trace, error));
    self->totals.sampled_steps += sampled && self->device->facts.asynchronous;
    if (!sampled)
        return LS_OK;
    return add_times(self, parts, error);
}

static int train_steps(trainer *self, const epoch_record *record, double parts[STEP_PARTS],
                       double start, ls_error *error) {
    loss_totals before = {0};
    for (int64_t index = 0; index < self->train.batches; index++) {
        lifeline_at("training", record->epoch, index + 1);
        LS_TRY(one_step(self, record, index, parts, error));
        self->steps++;
        LS_TRY(step_certificate_step(&self->certificate, index, self->steps, error));
        if (self->step_log)
            LS_TRY(log_step(self, record->epoch, &before, error));
        LS_TRY(show_progress(self, record->epoch, index + 1, start, error));
    }
    return self->device->is->stream_synchronize(self->device, self->stream, error);
}

/* Where the epoch's time went: measured at every step, or, from samples, their shares of it. */
static phase_seconds phases_of(const trainer *self, const double parts[STEP_PARTS], double waiting,
                               double seconds) {
    double scale = 1, sum = 0;
    for (int part = 0; part < STEP_PARTS; part++)
        sum += parts[part];
    if (self->device->facts.asynchronous)
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
static int compare_ranks(trainer *self, const double parts[STEP_PARTS], epoch_record *record,
                         ls_error *error) {
    rank_epoch mine = {.seconds = record->seconds};
    double waiting;
    LS_TRY(balance_compare(&self->balance, &waiting, &mine.pace, error));
    mine.phases = record->phases = phases_of(self, parts, waiting, record->seconds);
    monitor_clocks(self->monitor, &mine.clocks);
    LS_TRY(comm_allgather_bytes(self->control, &mine, self->rank_epochs, sizeof mine, error));
    for (int rank = 0; rank < self->me->size; rank++)
        rank_epoch_add(&self->rank_sums[rank], &self->rank_epochs[rank]);
    record->ranks = self->rank_epochs;
    return LS_OK;
}

/* What the device has counted so far: images by their losses, and updates. Read right before the
 * clock starts and right after it stops, so that the difference is what stood inside it. */
typedef struct done_work {
    int64_t images, steps, skipped;
} done_work;

static int read_done(trainer *self, done_work *out, ls_error *error) {
    loss_totals totals;
    LS_TRY(read_totals(self, &totals, error));
    LS_TRY(feed_read_state(&self->train, error));
    out->images = totals.samples;
    out->skipped = self->train.host_state->skipped;
    out->steps = self->train.host_state->step + out->skipped;
    return LS_OK;
}

/* All ranks' images; the updates of those that update. Nothing may be left out of the time. */
static int count_timed(trainer *self, const done_work *before, const done_work *after,
                       epoch_record *record, ls_error *error) {
    record->images = after->images - before->images;
    record->steps = after->steps - before->steps;
    LS_TRY(comm_allreduce_int64(self->control, &record->images, 1, REDUCTION_SUM, error));
    LS_TRY(comm_allreduce_int64(self->control, &record->steps, 1, REDUCTION_MAX, error));
    int64_t images = self->train.data->facts.images, steps = self->train.batches;
    if (record->images == images && record->steps == steps)
        return LS_OK;
    return ls_fail(error, LS_FAILED,
                   "the training time of epoch %d holds %lld images of %lld, %lld steps of %lld",
                   record->epoch, (long long)record->images, (long long)images,
                   (long long)record->steps, (long long)steps);
}

/* What loss scaling did in this epoch: rank 0's, which always updates. */
static int note_scaling(trainer *self, int64_t skipped, epoch_record *record, ls_error *error) {
    if (!self->optimizer.scaling)
        return LS_OK;
    record->skipped_updates = skipped;
    record->loss_scale = (double)self->train.host_state->loss_scale;
    if (record->skipped_updates == record->steps && record->loss_scale < 1 &&
        !trainer_ablates(self, "comm"))
        return ls_fail(
            error, LS_FAILED,
            "no update of epoch %d was made: gradients were not finite at any loss scale "
            "down to %g (a smaller --learning-rate, or --precision bf16, may help)",
            record->epoch, record->loss_scale);
    return LS_OK;
}

int trainer_train_epoch(trainer *self, epoch_record *record, ls_error *error) {
    double parts[STEP_PARTS] = {0};
    done_work before, after;
    double stopped_before = pulse_stopped_seconds(self->pulse);
    LS_TRY(clear_totals(self, error));
    balance_start(&self->balance);
    LS_TRY(self->control->is->barrier(self->control, error));
    monitor_start(self->monitor);
    LS_TRY(read_done(self, &before, error));
    double cpu_start = clock_cpu_seconds(), start = clock_seconds();
    LS_TRY(feed_start_epoch(&self->train, record->epoch, error));
    LS_TRY(train_steps(self, record, parts, start, error));
    record->seconds = clock_seconds() - start;
    LS_TRY(read_done(self, &after, error));
    monitor_stop(self->monitor);
    LS_TRY(count_timed(self, &before, &after, record, error));
    self->cpu_seconds_training += clock_cpu_seconds() - cpu_start;
    LS_TRY(compare_ranks(self, parts, record, error));
    record->suspended_seconds = pulse_stopped_seconds(self->pulse) - stopped_before;
    LS_TRY(combine_times(self, record, error));
    LS_TRY(note_scaling(self, after.skipped - before.skipped, record, error));
    LS_TRY(step_certificate_epoch(&self->certificate, record->epoch, self->steps, error));
    return sum_totals(self, &self->train, "training", &record->train_loss, &record->train_accuracy,
                      error);
}

int trainer_evaluate(trainer *self, epoch_record *record, ls_error *error) {
    double start = clock_seconds();
    LS_TRY(clear_totals(self, error));
    LS_TRY(feed_start_epoch(&self->test, record->epoch, error));
    for (int64_t index = 0; index < self->test.batches; index++) {
        mode_batch batch;
        lifeline_at("evaluation", record->epoch, index + 1);
        LS_TRY(feed_next(&self->test, index, &batch, error));
        LS_TRY(trainer_evaluation_step(self, &batch, error));
    }
    LS_TRY(sum_totals(self, &self->test, "evaluation", &record->test_loss, &record->test_accuracy,
                      error));
    record->evaluation_seconds = clock_seconds() - start;
    return LS_OK;
}
