/* What this attempt at the run has done with its time so far: rank 0's row of attempts.csv. */
#include "base/clock.h"
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The job script's word. */
static double queue_seconds(void) {
    const char *text = getenv("LOCKSTEP_QUEUE_SECONDS");
    char *end = NULL;
    double value = text ? strtod(text, &end) : NAN;
    return text && end != text && *end == '\0' && value >= 0 && value < 1e9 ? value : NAN;
}

/* All attempts' so far. */
static double training_seconds(const trainer *self) {
    const epoch_progress *at = &self->at;
    double running = at->started > 0 ? clock_seconds() - at->started : 0;
    return self->totals.training_seconds + at->seconds + running;
}

static attempt_record row_now(const trainer *self) {
    const ledger *ledger = &self->ledger;
    attempt_record row = ledger->row;
    double start = self->clocks.to_first_step;
    row.start_seconds = start > 0 ? start : (double)NAN;
    row.total_seconds = clock_since_process_start_seconds();
    row.last_step = row.first_step;
    if (start == 0) /* what was saved is not this attempt's */
        return row;
    row.training_seconds = training_seconds(self) - ledger->training_before;
    row.evaluation_seconds = self->totals.evaluation_seconds - ledger->evaluation_before;
    row.blocked_seconds = self->saver.blocked_seconds - ledger->blocked_before;
    row.last_step = self->steps;
    row.saved_step = self->saver.placed_step;
    return row;
}

int ledger_open(trainer *self, const run_facts *facts, ls_error *error) {
    attempt_record *row = &self->ledger.row;
    snprintf(row->started, sizeof row->started, "%.*s", (int)sizeof row->started - 1,
             facts->started);
    snprintf(row->slurm_job_id, sizeof row->slurm_job_id, "%.*s", (int)sizeof row->slurm_job_id - 1,
             facts->slurm_job_id ? facts->slurm_job_id : "");
    row->ranks = self->me->size;
    row->queue_seconds = queue_seconds();
    row->first_step = self->resumed.on ? self->resumed.from.manifest.step : 0;
    attempt_record now = row_now(self);
    bool again = self->saver.on && strcmp(self->settings->checkpoints.resume, "auto") == 0;
    ls_error unread = {0};
    LS_TRY(attempts_open(self->settings->results, &now, self->resumed.on || again,
                         &self->ledger.attempts, &unread, error));
    if (!unread.text[0])
        return LS_OK;
    return run_note(self->run, error, "warning  earlier attempts are no longer listed: %s",
                    unread.text);
}

void ledger_start(trainer *self) {
    self->ledger.training_before = training_seconds(self);
    self->ledger.evaluation_before = self->totals.evaluation_seconds;
    self->ledger.blocked_before = self->saver.blocked_seconds;
    attempt_record now = row_now(self);
    attempts_beat(self->ledger.attempts, &now);
}

void ledger_look(trainer *self) {
    if (!attempts_due(self->ledger.attempts))
        return;
    attempt_record now = row_now(self);
    attempts_beat(self->ledger.attempts, &now);
}

void ledger_saved(trainer *self) {
    attempt_record now = row_now(self);
    attempts_beat(self->ledger.attempts, &now);
}

int ledger_end(trainer *self, const char *why, ls_error *error) {
    attempt_record now = row_now(self);
    ls_error failure = {0};
    if (attempts_end(self->ledger.attempts, &now, why, &failure) == LS_OK)
        return LS_OK;
    return run_note(self->run, error, "warning  %s", failure.text);
}
