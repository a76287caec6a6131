/* What a run needs to go on, beside its arrays: rank 0's values. restore.c takes them back. */
#include "train/saver.h"
#include "train/trainer.h"
#include "weights/checkpoint_weights.h"

#include "base/clock.h"
#include "launch/versions.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of the epoch that goes on, where every rank's lanes (one where the run is not strict) have what
 * they came to so far. */
static int put_totals(trainer *self, record *out, ls_error *error) {
    device *device = self->engine.device;
    size_t own = (size_t)self->learner.mode->lane_count, all = own * (size_t)self->me->size;
    loss_totals *mine = calloc(own, sizeof *mine), *every = calloc(all, sizeof *every);
    double *sums = calloc(all, sizeof *sums);
    int64_t *counts = calloc(2 * all, sizeof *counts);
    int status =
        mine && every && sums && counts ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK)
        status = device->is->copy(device, self->engine.stream, mine, self->learner.mode->totals,
                                  own * sizeof *mine, COPY_DEVICE_TO_HOST, error);
    if (status == LS_OK)
        status = device->is->stream_synchronize(device, self->engine.stream, error);
    if (status == LS_OK)
        status = comm_allgather_bytes(self->control, mine, every, own * sizeof *mine, error);
    for (size_t lane = 0; status == LS_OK && lane < all; lane++) {
        sums[lane] = every[lane].loss_sum;
        counts[lane] = every[lane].correct;
        counts[all + lane] = every[lane].samples;
    }
    if (status == LS_OK) {
        record_put_reals(out, "epoch_loss_sums", sums, (int64_t)all);
        record_put_integers(out, "epoch_correct", counts, (int64_t)all);
        record_put_integers(out, "epoch_images", counts + all, (int64_t)all);
    }
    free(mine), free(every), free(sums), free(counts);
    return status;
}

/* The clocks of the epoch so far: as epoch.c combines them, means, and the slowest rank's. */
static int put_clocks(trainer *self, record *out, ls_error *error) {
    const epoch_progress *at = &self->at;
    double means[STEP_PARTS + 1],
        most[] = {at->seconds + clock_seconds() - at->started,
                  at->suspended_seconds + pulse_stopped_seconds(self->pulse) -
                      at->suspended_started};
    memcpy(means, self->parts, sizeof self->parts);
    means[STEP_PARTS] = at->cpu_seconds + clock_cpu_seconds() - at->cpu_started;
    LS_TRY(comm_allreduce_double(self->control, means, STEP_PARTS + 1, REDUCTION_SUM, error));
    LS_TRY(comm_allreduce_double(self->control, most, 2, REDUCTION_MAX, error));
    for (int part = 0; part <= STEP_PARTS; part++)
        means[part] /= self->me->size;
    record_put_reals(out, "epoch_phase_seconds", means, STEP_PARTS);
    record_put_real(out, "epoch_cpu_seconds", means[STEP_PARTS]);
    self->saver.epoch_seconds = most[0];
    record_put_real(out, "epoch_seconds", most[0]);
    record_put_real(out, "epoch_suspended_seconds", most[1]);
    monitor_energy consumed;
    LS_TRY(energy_so_far(self, &consumed, error));
    record_put_real(out, "epoch_gpu_energy_joules", consumed.gpu);
    record_put_real(out, "epoch_cpu_energy_joules", consumed.cpu);
    return LS_OK;
}

static int put_epoch(trainer *self, record *out, ls_error *error) {
    const epoch_progress *at = &self->at;
    record_put_integer(out, "epoch_start_steps", at->before.steps);
    record_put_integer(out, "epoch_start_skipped", at->before.skipped);
    record_put_real(out, "epoch_start_norms", at->before.norms);
    LS_TRY(put_totals(self, out, error));
    return put_clocks(self, out, error);
}

/* The device's, which every rank that updates has alike. */
static int put_step_state(trainer *self, record *out, ls_error *error) {
    LS_TRY(feed_read_state(&self->input.train, error));
    const step_state *state = self->input.train.host_state;
    record_put_integer(out, "updates", state->step);
    record_put_integer(out, "skipped_updates", state->skipped);
    record_put_integer(out, "good_steps", state->good_steps);
    record_put_real(out, "loss_scale", (double)state->loss_scale);
    record_put_real(out, "gradient_norm_sum", state->gradient_norm_sum);
    return LS_OK;
}

/* What must be the same, or is told where it is another. */
static int put_identity(trainer *self, record *out, ls_error *error) {
    char text[32];
    const sample_facts *facts = input_facts(&self->input);
    weights_model model = {.height = facts->height,
                           .width = facts->width,
                           .channels = facts->channels,
                           .classes = facts->classes,
                           .epsilon = graph_layernorm_epsilon(&self->graph)};
    LS_TRY(input_pixels(&self->input, &self->settings->input, model.mean, model.std, error));
    snprintf(model.name, sizeof model.name, "%s", self->settings->model.model);
    weights_model_put(&model, out);
    record_put_text(out, "options", self->options_text);
    record_put_text(out, "train_data", self->input.train.data->facts.id);
    record_put_text(out, "test_data", self->input.test.data->facts.id);
    record_put_integer(out, "train_images", self->input.train.data->facts.samples);
    record_put_integer(out, "global_batch", self->global_batch);
    record_put_integer(out, "micro_batches", self->settings->mode.accumulate);
    record_put_integer(out, "seed", self->settings->seed);
    record_put_text(out, "version", LOCKSTEP_VERSION);
    snprintf(text, sizeof text, "%016" PRIx64, launch_program_hash());
    record_put_text(out, "program", text);
    mode_plan_id(self->learner.mode, text);
    record_put_text(out, "plan_id", text);
    record_put_integer(out, "ranks", self->me->size);
    record_put_integer(out, "attempt", self->resumed.attempt);
    return LS_OK;
}

static void put_best(const trainer *self, record *out) {
    record_put_integer(out, "best_epoch", self->best.epoch);
    record_put_real(out, "best_test_accuracy", self->best.test_accuracy);
    record_put_real(out, "best_test_loss", self->best_loss);
}

/* What the closing table and the files add up. This save is counted when it is in place. */
static int put_run(trainer *self, record *out, ls_error *error) {
    const saver *saver = &self->saver;
    text_buffer epochs = {0}, log = {0}, ranks = {0};
    record_put_real(out, "training_cpu_seconds", self->clocks.training_cpu);
    record_put_integer(out, "sampled_steps", self->totals.sampled_steps);
    record_put_integer(out, "checkpoints", saver->saved + 1);
    record_put_integer(out, "checkpoint_bytes", saver->bytes);
    record_put_real(out, "checkpoint_blocked_seconds", saver->blocked_seconds);
    record_put_real(out, "checkpoint_write_seconds", saver->write_seconds);
    record_put_integer(out, "uploads", self->uploader.done);
    record_put_integer(out, "uploads_failed", self->uploader.failed);
    int status = run_remember(self->run, &epochs, &log, &ranks, error);
    record_put_text(out, "epochs_csv", epochs.bytes);
    record_put_text(out, "log", log.bytes);
    record_put_text(out, "ranks_csv", ranks.bytes);
    text_free(&epochs), text_free(&log), text_free(&ranks);
    if (self->step_log) {
        const logged_steps *steps = step_log_steps(self->step_log);
        record_put_integers(out, "step_epochs", steps->epochs, steps->count);
        record_put_reals(out, "step_losses", steps->losses, steps->count);
    }
    return status;
}

int trainer_capture(trainer *self, int epoch, int64_t done, record *out, ls_error *error) {
    LS_TRY(put_step_state(self, out, error));
    self->saver.epoch_seconds = 0;
    if (done > 0)
        LS_TRY(put_epoch(self, out, error));
    LS_TRY(step_certificate_save(&self->certificate, epoch, done, out, error));
    if (self->me->rank != 0) {
        record_free(out);
        return LS_OK;
    }
    LS_TRY(put_identity(self, out, error));
    put_best(self, out);
    LS_TRY(put_run(self, out, error));
    return record_check(out, error);
}
