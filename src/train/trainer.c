/* A run, phase by phase. */
#include "train/trainer.h"
#include "base/clock.h"
#include "launch/lifeline.h"

#include <math.h>
#include <string.h>

/* Batch words: batch per rank, global batch = batch per rank x ranks. */
static int choose_batch(trainer *self, ls_error *error) {
    const train_settings *s = self->settings;
    int size = self->me->size;
    if (s->batch_per_rank && s->global_batch)
        return ls_fail(error, LS_BAD_INPUT,
                       "--batch-per-rank %lld and --global-batch %lld contradict: give one",
                       (long long)s->batch_per_rank, (long long)s->global_batch);
    if (s->global_batch && s->global_batch < size)
        return ls_fail(
            error, LS_BAD_INPUT,
            "--global-batch %lld does not divide among %d ranks (the smallest that does: "
            "%d)",
            (long long)s->global_batch, size, size);
    if (s->global_batch % size != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--global-batch %lld does not divide among %d ranks (the nearest that do: "
                       "%lld and %lld)",
                       (long long)s->global_batch, size, (long long)(s->global_batch / size * size),
                       (long long)((s->global_batch / size + 1) * size));
    self->scaling = s->global_batch ? "strong" : "weak";
    self->global_batch =
        s->global_batch ? s->global_batch : (s->batch_per_rank ? s->batch_per_rank : 64) * size;
    return LS_OK;
}

static void add_epoch(trainer *self, epoch_record *record) {
    run_totals *totals = &self->totals;
    if (self->best.epoch == 0 || record->test_accuracy > self->best.test_accuracy) {
        record->best = true;
        self->best = *record;
    }
    totals->training_seconds += record->seconds;
    totals->evaluation_seconds += record->evaluation_seconds;
    totals->suspended_seconds += record->suspended_seconds;
    totals->images += record->images;
    totals->phases.data += record->phases.data;
    totals->phases.forward += record->phases.forward;
    totals->phases.backward += record->phases.backward;
    totals->phases.communication += record->phases.communication;
    totals->phases.optimizer += record->phases.optimizer;
    totals->phases.waiting += record->phases.waiting;
    totals->skipped_updates += record->skipped_updates;
    totals->loss_scale = record->loss_scale;
    totals->final_train_loss = record->train_loss;
    totals->final_test_loss = record->test_loss;
    totals->final_test_accuracy = record->test_accuracy;
}

static int train_all_epochs(trainer *self, ls_error *error) {
    LS_TRY(trainer_tell_fallbacks(self, error)); /* of set-up and warm-up */
    for (int epoch = 1; epoch <= self->settings->epochs; epoch++) {
        epoch_record record = {.epoch = epoch};
        double cpu_before = self->cpu_seconds_training;
        if (epoch == 1)
            LS_TRY(trainer_align_profile(self, error));
        LS_TRY(trainer_train_epoch(self, &record, error));
        if (epoch == 1)
            LS_TRY(trainer_align_profile(self, error));
        LS_TRY(trainer_evaluate(self, &record, error));
        LS_TRY(trainer_tell_fallbacks(self, error));
        LS_TRY(trainer_epoch_usage(self, self->cpu_seconds_training - cpu_before, &record, error));
        add_epoch(self, &record);
        if (self->me->rank == 0)
            LS_TRY(run_epoch(self->run, &record, error));
    }
    return LS_OK;
}

static int run_phases(trainer *self, ls_error *error) {
    LS_TRY(pulse_open(&self->pulse, error));
    LS_TRY(choose_batch(self, error));
    LS_TRY(trainer_setup(self, error));
    LS_TRY(trainer_open_run(self, error));
    self->setup_seconds = clock_seconds() - self->started_seconds;
    LS_TRY(trainer_warm_up(self, error));
    self->start_to_first_step_seconds = clock_since_process_start_seconds();
    self->start_cpu_seconds = clock_cpu_seconds();
    LS_TRY(train_all_epochs(self, error));
    return trainer_finish(self, error);
}

int train_run(launch *me, const train_settings *settings, const char *options_text,
              const char *command_line, ls_error *error) {
    static trainer self; /* the graph alone is too large for a stack */
    memset(&self, 0, sizeof self);
    self.me = me;
    self.settings = settings;
    self.options_text = options_text;
    self.command_line = command_line;
    self.started_seconds = clock_seconds();
    int status = run_phases(&self, error);
    /* After a failure the peers are still in their collectives: main tells them through the
     * lifeline, and nothing here may wait for them. */
    if (status == LS_OK)
        trainer_close(&self);
    return status;
}
