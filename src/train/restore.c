/* A checkpoint's state into a run that is set up. What capture.c put is taken here. */
#include "train/resume.h"
#include "train/totals.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What this rank holds of a kind. */
static int restore_kind(trainer *self, store_kind kind, ls_error *error) {
    store *store = self->learner.mode->store;
    const checkpoint *from = &self->resumed.from;
    const store_span *spans;
    int count = store_spans(store, kind, &spans);
    const char *name = store_name(store, kind);
    for (int index = 0; index < count; index++) {
        float *values = malloc(spans[index].count * sizeof *values + 1);
        int status = values ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
        if (status == LS_OK)
            status = checkpoint_read(from, name, (int64_t)spans[index].first,
                                     (int64_t)spans[index].count, values, error);
        if (status == LS_OK)
            status = store_write(store, self->engine.stream, kind, spans[index], values, error);
        free(values);
        LS_TRY(status);
    }
    return LS_OK;
}

/* Of another optimizer (--allow) there may be none: it begins as a new one does. */
static int restore_arrays(trainer *self, ls_error *error) {
    const checkpoint_manifest *manifest = &self->resumed.from.manifest;
    for (int kind = 0; kind < STORE_KINDS; kind++) {
        int64_t length = (int64_t)store_length(self->learner.mode->store, (store_kind)kind);
        if (!store_is_state((store_kind)kind) || length == 0)
            continue;
        const char *name = store_name(self->learner.mode->store, (store_kind)kind);
        int array = checkpoint_find_array(manifest, name);
        if (array >= 0 && manifest->arrays[array].length != length)
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: expected %" PRId64 " elements of %s, found %" PRId64,
                           self->resumed.where, length, name, manifest->arrays[array].length);
        if (array < 0 && (kind == STORE_PARAMETERS || kind == STORE_BUFFERS))
            return ls_fail(error, LS_BAD_INPUT, "%s: expected an array '%s', found none",
                           self->resumed.where, name);
        if (array >= 0)
            LS_TRY(restore_kind(self, (store_kind)kind, error));
    }
    return mode_parameters_written(self->learner.mode, error);
}

static int restore_step_state(trainer *self, ls_error *error) {
    const record *from = &self->resumed.from.manifest.state;
    const char *where = self->resumed.where;
    int64_t good;
    double scale;
    step_state *state = self->input.train.host_state;
    LS_TRY(record_get_integer(from, where, "updates", 0, INT64_MAX, &state->step, error));
    LS_TRY(
        record_get_integer(from, where, "skipped_updates", 0, INT64_MAX, &state->skipped, error));
    LS_TRY(record_get_integer(from, where, "good_steps", 0, INT32_MAX, &good, error));
    LS_TRY(record_get_real(from, where, "loss_scale", &scale, error));
    LS_TRY(record_get_real(from, where, "gradient_norm_sum", &state->gradient_norm_sum, error));
    state->good_steps = (int32_t)good;
    if (self->learner.optimizer.scaling && scale != 1) /* else it began without scaling */
        state->loss_scale = (float)scale;
    return feed_write_state(&self->input.train, error);
}

/* As many lanes in all: to each its own. Else rank 0 has them all, and the sum is the same. */
static int restore_totals(trainer *self, ls_error *error) {
    const record *from = &self->resumed.from.manifest.state;
    const char *where = self->resumed.where;
    int64_t own = self->learner.mode->lane_count, rank = self->me->rank, count, correct_count,
            image_count;
    const double *sums;
    const int64_t *correct, *images;
    LS_TRY(record_get_reals(from, where, "epoch_loss_sums", &sums, &count, error));
    LS_TRY(record_get_integers(from, where, "epoch_correct", &correct, &correct_count, error));
    LS_TRY(record_get_integers(from, where, "epoch_images", &images, &image_count, error));
    if (count != correct_count || count != image_count)
        return ls_fail(error, LS_BAD_INPUT, "%s: epoch_...: lists of unlike lengths", where);
    bool alike = count == own * self->me->size;
    loss_totals *totals = calloc((size_t)own, sizeof *totals);
    self->resumed.totals = totals;
    if (!totals)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int64_t lane = 0; lane < count; lane++) {
        bool mine = alike ? lane / own == rank : rank == 0;
        loss_totals *to = &totals[alike ? lane % own : 0];
        if (!mine)
            continue;
        to->loss_sum += sums[lane];
        to->correct += correct[lane];
        to->samples += images[lane];
    }
    return LS_OK;
}

/* A checkpoint of before energy was counted does not know. */
static double earlier_joules(const record *from, const char *name) {
    const record_value *value = record_find(from, name);
    return value && value->kind == RECORD_REALS && value->count == 1 ? value->of.reals[0] : NAN;
}

static int restore_epoch(trainer *self, ls_error *error) {
    const record *from = &self->resumed.from.manifest.state;
    const char *where = self->resumed.where;
    epoch_progress *at = &self->at;
    const double *parts;
    int64_t count;
    LS_TRY(record_get_integer(from, where, "epoch_start_steps", 0, INT64_MAX, &at->before.steps,
                              error));
    LS_TRY(record_get_integer(from, where, "epoch_start_skipped", 0, INT64_MAX, &at->before.skipped,
                              error));
    LS_TRY(record_get_real(from, where, "epoch_start_norms", &at->before.norms, error));
    LS_TRY(record_get_real(from, where, "epoch_seconds", &at->seconds, error));
    LS_TRY(record_get_real(from, where, "epoch_cpu_seconds", &at->cpu_seconds, error));
    LS_TRY(record_get_real(from, where, "epoch_suspended_seconds", &at->suspended_seconds, error));
    self->energy.earlier = (monitor_energy){earlier_joules(from, "epoch_gpu_energy_joules"),
                                            earlier_joules(from, "epoch_cpu_energy_joules")};
    LS_TRY(record_get_reals(from, where, "epoch_phase_seconds", &parts, &count, error));
    for (int64_t part = 0; part < count && part < STEP_PARTS; part++)
        at->parts[part] = parts[part];
    return restore_totals(self, error);
}

/* The epochs that ended, as if they had been trained here. */
static int restore_run(trainer *self, ls_error *error) {
    const record *from = &self->resumed.from.manifest.state;
    const char *where = self->resumed.where;
    saver *saver = &self->saver;
    int64_t epoch;
    for (int index = 0; index < self->resumed.epoch_count; index++)
        trainer_add_epoch(self, &self->resumed.epochs[index]);
    LS_TRY(record_get_integer(from, where, "best_epoch", 0, INT32_MAX, &epoch, error));
    self->best.epoch = (int)epoch; /* rows have nine digits */
    LS_TRY(record_get_real(from, where, "best_test_accuracy", &self->best.test_accuracy, error));
    LS_TRY(record_get_real(from, where, "best_test_loss", &self->best_loss, error));
    LS_TRY(record_get_real(from, where, "training_cpu_seconds", &self->clocks.training_cpu, error));
    LS_TRY(record_get_integer(from, where, "sampled_steps", 0, INT64_MAX,
                              &self->totals.sampled_steps, error));
    LS_TRY(record_get_integer(from, where, "checkpoints", 0, INT64_MAX, &saver->saved, error));
    LS_TRY(record_get_integer(from, where, "checkpoint_bytes", 0, INT64_MAX, &saver->bytes, error));
    LS_TRY(
        record_get_real(from, where, "checkpoint_blocked_seconds", &saver->blocked_seconds, error));
    LS_TRY(record_get_real(from, where, "checkpoint_write_seconds", &saver->write_seconds, error));
    uploader *uploader = &self->uploader;
    LS_TRY(record_get_integer(from, where, "uploads", 0, INT64_MAX, &uploader->done, error));
    return record_get_integer(from, where, "uploads_failed", 0, INT64_MAX, &uploader->failed,
                              error);
}

/* Buckets and algorithms that were measured may be others now. */
static int note_plan(trainer *self, ls_error *error) {
    const char *saved;
    char now[17];
    LS_TRY(record_get_text(&self->resumed.from.manifest.state, self->resumed.where, "plan_id",
                           &saved, error));
    mode_plan_id(self->learner.mode, now);
    if (strcmp(saved, now) == 0 || self->settings->mode.strict || self->me->rank != 0)
        return LS_OK;
    return run_note(self->run, error,
                    "warning  plan %s was saved and this is %s: sums may be made in another order, "
                    "and the bits be others than without the interruption (--strict keeps them)",
                    saved, now);
}

int trainer_restore(trainer *self, ls_error *error) {
    const checkpoint_manifest *manifest = &self->resumed.from.manifest;
    if (!self->resumed.on)
        return LS_OK;
    LS_TRY(note_plan(self, error));
    LS_TRY(restore_arrays(self, error));
    LS_TRY(restore_step_state(self, error));
    LS_TRY(restore_run(self, error));
    self->steps = manifest->step;
    self->at.first = manifest->position / self->global_batch;
    if (manifest->position == self->input.train.data->facts.samples)
        self->at.first = self->input.train.batches; /* trained, and not evaluated */
    if (self->at.first > self->input.train.batches)
        return ls_fail(error, LS_BAD_INPUT, "%s: position %" PRId64 " lies beyond an epoch",
                       self->resumed.where, manifest->position);
    if (self->at.first > 0)
        LS_TRY(restore_epoch(self, error));
    LS_TRY(step_certificate_restore(&self->certificate, self->resumed.where, &manifest->state,
                                    self->at.first, error));
    checkpoint_close(&self->resumed.from);
    return LS_OK;
}
