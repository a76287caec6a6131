#include "train/evaluate.h"
#include "base/clock.h"
#include "train/answers.h"
#include "train/epoch.h"
#include "train/load_weights.h"
#include "train/setup.h"
#include "train/trainer.h"
#include "weights/checkpoint_weights.h"
#include "weights/weights.h"

#include <stdio.h>
#include <string.h>

static int model_of_checkpoint(const char *from, char *out, size_t capacity, ls_error *error) {
    char folder[4096];
    checkpoint found;
    weights_model model = {0};
    LS_TRY(checkpoint_resolve(from, folder, sizeof folder, error));
    LS_TRY(checkpoint_open(&found, folder, error));
    int status = weights_model_get(&found, &model, error);
    snprintf(out, capacity, "%s", model.name);
    checkpoint_close(&found);
    return status;
}

int evaluate_model_of(const char *from, char *out, size_t capacity, ls_error *error) {
    weights_source source;
    if (!weights_source_is(from))
        return model_of_checkpoint(from, out, capacity, error);
    LS_TRY(weights_source_open(from, &source, error));
    snprintf(out, capacity, "%s", source.model);
    weights_source_close(&source);
    return LS_OK;
}

/* What a run that trains nothing has of the rest: no moments, nothing to measure. */
static void fill_in(const launch *me, train_settings *run) {
    run->mode.mode = me->size == 1 ? "single" : "ddp";
    run->mode.bucket_mb = 25;
    run->mode.factor_comm = "off";
    run->mode.prefetch = 1;
    run->mode.reshard = "on";
    run->mode.within = "world";
    run->optimizer.rule = "sgd";
    run->certificate = run->tensorboard = "off";
}

/* A line each. */
static void print_notes(const text_buffer *notes) {
    for (const char *line = notes->bytes; line && *line; line = strchr(line, '\n') + 1)
        printf("weights %.*s\n", (int)strcspn(line, "\n"), line);
}

static int print(const trainer *self, const answers *answers, const epoch_record *record,
                 const text_buffer *notes, ls_error *error) {
    double images = (double)answers->count;
    int64_t first = answers_among(answers, 1), five = answers_among(answers, 5);
    printf("model   %s, %s on %s: %d rank%s, batches of %lld a rank\n", self->settings->model.model,
           self->settings->model.precision, self->engine.device->is->name, self->me->size,
           self->me->size == 1 ? "" : "s", (long long)(self->global_batch / self->me->size));
    print_notes(notes);
    printf("images  %lld of %s, in %.3g s\n", (long long)answers->count,
           self->settings->input.folder, record->evaluation_seconds);
    printf("loss    %.6f\n", record->test_loss);
    printf("top-1   %.2f%%  (%lld)\n", 100 * (double)first / images, (long long)first);
    printf("top-5   %.2f%%  (%lld)\n", 100 * (double)five / images, (long long)five);
    if (fflush(stdout) != 0)
        return ls_fail_errno(error, LS_FAILED, "standard output: cannot write");
    return LS_OK;
}

static int write_files(const evaluate_settings *settings, const answers *answers, ls_error *error) {
    if (settings->predictions)
        LS_TRY(answers_write_csv(answers, settings->predictions, error));
    return settings->logits ? answers_write_logits(answers, settings->logits, error) : LS_OK;
}

static int run_phases(trainer *self, answers *answers, const evaluate_settings *settings,
                      text_buffer *notes, ls_error *error) {
    epoch_record record = {.epoch = 1};
    bool stop = false; /* nobody asks: nothing is saved */
    LS_TRY(trainer_setup(self, error));
    LS_TRY(trainer_load_weights(self, notes, error));
    LS_TRY(answers_open(answers, &self->learner, &self->input.test, settings->logits, error));
    self->answers = answers;
    LS_TRY(trainer_evaluate(self, &record, &stop, error));
    LS_TRY(answers_gather(answers, self->control, error));
    if (self->me->rank != 0)
        return LS_OK;
    LS_TRY(write_files(settings, answers, error));
    return print(self, answers, &record, notes, error);
}

int evaluate_run(launch *me, evaluate_settings *settings, const char *options_text,
                 ls_error *error) {
    static trainer self; /* the graph alone is too large for a stack */
    answers answers = {0};
    text_buffer notes = {0};
    memset(&self, 0, sizeof self);
    fill_in(me, &settings->run);
    settings->run.weights.init = settings->from;
    self.me = me;
    self.settings = &settings->run;
    self.options_text = options_text;
    self.evaluates = true;
    self.global_batch = settings->run.batch_per_rank * me->size;
    self.clocks.started = clock_seconds();
    int status = run_phases(&self, &answers, settings, &notes, error);
    text_free(&notes);
    answers_close(&answers);
    if (status == LS_OK)
        trainer_close(&self);
    return status;
}
