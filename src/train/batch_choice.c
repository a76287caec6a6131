#include "train/batch_choice.h"
#include "train/profile.h"
#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>

static const char *word_of(int64_t batch_per_rank) {
    return batch_per_rank == BATCH_FASTEST ? "auto:throughput" : "auto";
}

static int contradict(const train_settings *s, ls_error *error) {
    if (s->batch_per_rank < 0 && s->global_batch)
        return ls_fail(error, LS_BAD_INPUT,
                       "--batch-per-rank %s and --global-batch %lld contradict: give one "
                       "(--accumulate auto splits a global batch that does not fit)",
                       word_of(s->batch_per_rank), (long long)s->global_batch);
    if (s->batch_per_rank < 0 && s->mode.accumulate == ACCUMULATE_AUTO)
        return ls_fail(error, LS_BAD_INPUT,
                       "--batch-per-rank %s finds a batch that fits, --accumulate auto splits one "
                       "that does not: give one of them",
                       word_of(s->batch_per_rank));
    if (s->batch_per_rank && s->global_batch)
        return ls_fail(error, LS_BAD_INPUT,
                       "--batch-per-rank %lld and --global-batch %lld contradict: give one",
                       (long long)s->batch_per_rank, (long long)s->global_batch);
    return LS_OK;
}

static int check_division(const train_settings *s, int size, ls_error *error) {
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
    return LS_OK;
}

int64_t trainer_batch_unit(const trainer *self) {
    int64_t lanes = self->settings->mode.strict ? trainer_lanes(self) / self->me->size : 1;
    return (lanes > 0 ? lanes : 1) * self->settings->mode.accumulate;
}

int trainer_choose_batch(trainer *self, ls_error *error) {
    const train_settings *s = self->settings;
    int size = self->me->size;
    LS_TRY(contradict(s, error));
    LS_TRY(check_division(s, size, error));
    bool found = s->batch_per_rank < 0, splits = s->mode.accumulate == ACCUMULATE_AUTO;
    self->scaling = s->global_batch ? "strong" : "weak";
    self->batch = (found_batch){.open = found || splits,
                                .choice = found    ? word_of(s->batch_per_rank)
                                          : splits ? "auto"
                                                   : "given"};
    if (splits)
        self->own.mode.accumulate = 1;
    int64_t each = found ? trainer_batch_unit(self) : s->batch_per_rank ? s->batch_per_rank : 64;
    self->global_batch = s->global_batch ? s->global_batch : each * size;
    return LS_OK;
}

int trainer_take_batch(trainer *self, int64_t global_batch, ls_error *error) {
    const train_settings *s = self->settings;
    self->global_batch = global_batch;
    input_set_batch(&self->input, global_batch);
    LS_TRY(mode_check_options(&s->mode, self->me->size, global_batch, error));
    LS_TRY(trainer_check_profile(self, error));
    free(self->rates.rates);
    self->rates = (rate_table){0};
    return schedule_rates(&s->schedule, s->optimizer.learning_rate, s->epochs,
                          self->input.train.batches, &self->rates, error);
}

/* --accumulate auto; the search stays open where there are other ranks than then. */
static int take_saved_parts(trainer *self, ls_error *error) {
    const record *state = &self->resumed.from.manifest.state;
    const char *where = self->resumed.where;
    int64_t parts, ranks;
    LS_TRY(record_get_integer(state, where, "ranks", 1, INT32_MAX, &ranks, error));
    if (ranks != self->me->size || !record_find(state, "micro_batches"))
        return LS_OK;
    LS_TRY(record_get_integer(state, where, "micro_batches", 1, MOST_MICRO_BATCHES, &parts, error));
    self->own.mode.accumulate = parts;
    self->batch.open = false;
    snprintf(self->batch.note, sizeof self->batch.note,
             "%lld micro-batch%s a step, as the checkpoint has it", (long long)parts,
             parts == 1 ? "" : "es");
    return trainer_take_batch(self, self->global_batch, error);
}

int trainer_take_saved_batch(trainer *self, int64_t global_batch, ls_error *error) {
    int size = self->me->size;
    if (!self->batch.open)
        return LS_OK;
    if (self->settings->batch_per_rank >= 0)
        return take_saved_parts(self, error);
    if (global_batch % size != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--batch-per-rank %s: %s goes on with its global batch of %lld, which does "
                       "not divide among %d ranks (start another number of them)",
                       self->batch.choice, self->resumed.from.folder, (long long)global_batch,
                       size);
    self->batch.open = false;
    snprintf(self->batch.note, sizeof self->batch.note, "%lld in all, as the checkpoint has it",
             (long long)global_batch);
    return trainer_take_batch(self, global_batch, error);
}
