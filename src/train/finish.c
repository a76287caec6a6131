/* The end of a run: the ranks' parameters compared, usage gathered, the closing table. */
#include "train/finish.h"
#include "base/clock.h"
#include "train/floor.h"
#include "train/loading.h"
#include "train/plan_choices.h"
#include "train/profile.h"
#include "train/trainer.h"
#include "train/usage.h"
#include "train/verdict.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The ranks that update copies of their own must hold the same bits at the end: one that drifted
 * trained another model, and its numbers are not a result. A rank that only receives (dp) still
 * has the last step's, and does not count. */
static int compare_parameters(trainer *self, ls_error *error) {
    struct {
        uint64_t hash, updates;
    } mine = {.updates = mode_updates(self->learner.mode)}, *all;
    LS_TRY(step_certificate_parameters(&self->certificate, &mine.hash, error));
    snprintf(self->totals.parameters_hash, sizeof self->totals.parameters_hash, "%016" PRIx64,
             mine.hash);
    all = calloc((size_t)self->me->size, sizeof *all);
    if (!all)
        return ls_fail(error, LS_FAILED, "out of memory");
    int status = comm_allgather_bytes(self->control, &mine, all, sizeof mine, error);
    for (int rank = 1; status == LS_OK && rank < self->me->size; rank++)
        if (all[rank].updates && all[rank].hash != all[0].hash)
            status = ls_fail(error, LS_FAILED,
                             "rank %d ended with other parameters than rank 0: the result is void",
                             rank);
    free(all);
    return status;
}

static int write_floor_and_profile(trainer *self, ls_error *error) {
    step_floor floor;
    int status = trainer_measure_floor(self, &floor, error);
    if (status == LS_OK)
        status = trainer_write_profile(self, &floor, error);
    free(floor.rows);
    return status;
}

static int close_ledger(trainer *self, ls_error *error) {
    run_totals *totals = &self->totals;
    LS_TRY(ledger_end(self, "finished", error));
    attempt_sums all = attempts_total(self->ledger.attempts);
    totals->attempts_total_seconds = all.total_seconds;
    totals->lost_steps = all.lost_steps;
    totals->lost_seconds = all.lost_seconds;
    totals->goodput = all.goodput;
    return LS_OK;
}

int trainer_finish(trainer *self, ls_error *error) {
    run_totals *totals = &self->totals;
    /* Each rank trained alone: they differ, and no hash is all's. Or nobody trained. */
    if (trainer_ablates(self, "comm") || trainer_ablates(self, "compute"))
        totals->parameters_hash[0] = '\0';
    else
        LS_TRY(compare_parameters(self, error));
    LS_TRY(trainer_note_loader(self, error));
    LS_TRY(trainer_gather_usage(self, error));
    LS_TRY(trainer_write_samples(self, error));
    double times[] = {self->clocks.setup, self->clocks.warmup, self->clocks.to_first_step,
                      pulse_stopped_seconds(self->pulse)};
    double start_cpu_seconds = self->clocks.start_cpu;
    LS_TRY(comm_allreduce_double(self->control, times, 4, REDUCTION_MAX, error));
    LS_TRY(comm_allreduce_double(self->control, &start_cpu_seconds, 1, REDUCTION_SUM, error));
    totals->setup_seconds = times[0];
    totals->warmup_seconds = times[1];
    totals->start_to_first_step_seconds = times[2];
    totals->start_cpu_seconds = start_cpu_seconds / self->me->size;
    totals->suspended_total_seconds = times[3];
    totals->total_seconds = clock_since_process_start_seconds();
    totals->steps = self->steps;
    totals->best_epoch = self->best.epoch;
    totals->best_test_accuracy = self->best.epoch > 0 ? self->best.test_accuracy : NAN;
    totals->attempts = (int)self->resumed.attempt;
    totals->checkpoints = self->saver.on ? self->saver.saved : 0;
    totals->checkpoint_bytes = (double)self->saver.bytes;
    totals->checkpoint_blocked_seconds = self->saver.blocked_seconds;
    totals->checkpoint_write_seconds = self->saver.write_seconds;
    totals->uploads = self->uploader.done;
    totals->uploads_failed = self->uploader.failed;
    totals->rank_usage = self->ranks.usage;
    totals->ranks = self->resumed.other_ranks ? NULL : self->ranks.sums;
    if (self->resumed.other_ranks) /* of all epochs it cannot be told */
        totals->phases.waiting = NAN;
    mode_plan_id(self->learner.mode, totals->plan_id);
    if (self->told.plans_differ)
        strcat(totals->plan_id, "-mixed");
    if (self->step_log)
        LS_TRY(step_log_finish(self->step_log, error));
    LS_TRY(step_certificate_finish(&self->certificate, totals->certificate_hash, error));
    LS_TRY(trainer_judge_sharding(self, error));
    LS_TRY(write_floor_and_profile(self, error));
    LS_TRY(close_ledger(self, error));
    return self->me->rank == 0 ? run_finish(self->run, totals, error) : LS_OK;
}
