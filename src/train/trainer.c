/* A run, phase by phase. */
#include "train/trainer.h"
#include "base/clock.h"
#include "base/signals.h"
#include "train/batch_choice.h"
#include "train/epoch.h"
#include "train/fallbacks.h"
#include "train/finish.h"
#include "train/header.h"
#include "train/loading.h"
#include "train/profile.h"
#include "train/resume.h"
#include "train/setup.h"
#include "train/totals.h"
#include "train/usage.h"
#include "train/warmup.h"

#include <math.h>
#include <string.h>

/* By --best. NAN is no lower loss. */
static bool is_best(trainer *self, const epoch_record *record) {
    const char *by = self->settings->checkpoints.best;
    bool lower = record->test_loss < self->best_loss;
    if (lower)
        self->best_loss = record->test_loss;
    if (strcmp(by, "loss") == 0)
        return lower;
    return strcmp(by, "accuracy") == 0 && record->best;
}

/* What is not measured stays NAN. */
static int one_epoch(trainer *self, int epoch, bool *stop, ls_error *error) {
    epoch_record record = {.epoch = epoch,
                           .train_loss = NAN,
                           .train_accuracy = NAN,
                           .test_loss = NAN,
                           .test_accuracy = NAN,
                           .test_top5_accuracy = NAN,
                           .evaluation_seconds = NAN};
    double cpu_seconds, waited = store_file_totals(self->learner.mode->store).waited_seconds;
    if (epoch == 1)
        LS_TRY(trainer_align_profile(self, error));
    LS_TRY(trainer_train_epoch(self, &record, &cpu_seconds, stop, error));
    if (*stop)
        return LS_OK;
    self->clocks.training_cpu += cpu_seconds;
    self->clocks.offload_waited +=
        store_file_totals(self->learner.mode->store).waited_seconds - waited;
    if (epoch == 1)
        LS_TRY(trainer_align_profile(self, error));
    if (trainer_validates(self, epoch))
        LS_TRY(trainer_evaluate(self, &record, stop, error));
    if (*stop)
        return saver_stop_evaluation(self, epoch, error);
    LS_TRY(trainer_tell_fallbacks(self, error));
    LS_TRY(trainer_tell_loader(self, error));
    LS_TRY(trainer_epoch_usage(self, cpu_seconds, &record, error));
    trainer_add_epoch(self, &record);
    if (self->me->rank == 0)
        LS_TRY(run_epoch(self->run, &record, error));
    ledger_look(self);
    LS_TRY(uploader_look(self, error));
    return saver_after_epoch(self, epoch, is_best(self, &record), stop, error);
}

static int train_all_epochs(trainer *self, bool *stop, ls_error *error) {
    LS_TRY(trainer_tell_fallbacks(self, error)); /* of set-up and warm-up */
    for (int epoch = self->resumed.epoch_count + 1; epoch <= self->settings->epochs && !*stop;
         epoch++)
        LS_TRY(one_epoch(self, epoch, stop, error));
    return LS_OK;
}

/* The run that was to go on has come to its end before. */
static int say_over(const trainer *self) {
    if (self->me->rank == 0)
        printf("%s: all %lld epochs are trained: nothing to do\n", self->resumed.from.folder,
               (long long)self->settings->epochs);
    return LS_OK;
}

/* The run was told to end. */
static int say_stopped(trainer *self, ls_error *error) {
    const saver *saver = &self->saver;
    bool late = saver->ending == SAVER_TIME_LIMIT;
    const char *signal = late ? "time limit" : signals_name(saver->ending);
    if (saver->failed)
        return ls_fail(
            error, LS_FAILED,
            "interrupted by %s%s, and the state could not be saved: the checkpoint before "
            "stays",
            late ? "the " : "", signal);
    if (self->me->rank != 0)
        return LS_OK;
    LS_TRY(ledger_end(self, signal, error));
    return run_note(self->run, error,
                    "stopped  by %s%s after step %lld: %s/%s has all there is to go on",
                    late ? "the " : "", signal, (long long)self->steps, saver->dir, saver->name);
}

/* Whether there is nothing to do: rank 0's answer, for its folder of results may be no other's. */
static int find_finished(const trainer *self, bool *out, ls_error *error) {
    int64_t finished =
        self->resumed.over && self->me->rank == 0 && run_is_finished(self->settings->results);
    if (self->resumed.over)
        LS_TRY(comm_broadcast_bytes(self->control, &finished, sizeof finished, 0, error));
    *out = finished != 0;
    return LS_OK;
}

static int run_phases(trainer *self, bool *stopped, ls_error *error) {
    bool finished;
    LS_TRY(pulse_open(&self->pulse, error));
    LS_TRY(trainer_choose_batch(self, error));
    LS_TRY(saver_check(self, error));
    LS_TRY(uploader_check(self, error));
    LS_TRY(trainer_setup(self, error));
    LS_TRY(find_finished(self, &finished, error));
    if (finished)
        return say_over(self);
    LS_TRY(trainer_open_run(self, error));
    LS_TRY(saver_open(self, error));
    LS_TRY(uploader_open(self, error));
    self->clocks.setup = clock_seconds() - self->clocks.started;
    double warm_up_began = clock_seconds();
    LS_TRY(trainer_warm_up(self, error));
    LS_TRY(trainer_restore(self, error));
    self->clocks.warmup = clock_seconds() - warm_up_began;
    self->clocks.to_first_step = clock_since_process_start_seconds();
    self->clocks.start_cpu = clock_cpu_seconds();
    ledger_start(self);
    LS_TRY(train_all_epochs(self, stopped, error));
    LS_TRY(uploader_finish(self, *stopped, error));
    return *stopped ? say_stopped(self, error) : trainer_finish(self, error);
}

int train_run(launch *me, const train_settings *settings, const char *options_text,
              const char *command_line, bool *stopped, ls_error *error) {
    static trainer self; /* the graph alone is too large for a stack */
    memset(&self, 0, sizeof self);
    self.me = me;
    self.own = *settings;
    self.settings = &self.own;
    self.options_text = options_text;
    self.command_line = command_line;
    self.clocks.started = clock_seconds();
    self.best_loss = INFINITY;
    *stopped = false;
    int status = run_phases(&self, stopped, error);
    /* After a failure the peers are still in their collectives: main tells them through the
     * lifeline, and nothing here may wait for them. */
    if (status == LS_OK)
        trainer_close(&self);
    return status;
}
