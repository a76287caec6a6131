/* --profile N: N steps in the middle of the first epoch are recorded, and what they say is written
 * at the end of the run. */
#include "train/profile.h"
#include "launch/lifeline.h"
#include "train/floor.h"
#include "train/profile_rows.h"
#include "train/trainer.h"

#include <stdlib.h>

/* Steps of the whole batch, where an epoch has more than one. */
static int64_t whole_steps(const trainer *self) {
    int64_t batches = self->input.train.batches;
    return batches > 1 && self->input.train.last < self->global_batch ? batches - 1 : batches;
}

int trainer_check_profile(trainer *self, ls_error *error) {
    int64_t wanted = self->settings->profile, found = whole_steps(self);
    if (wanted > found)
        return ls_fail(error, LS_BAD_INPUT,
                       "--profile %lld: an epoch has %lld step%s of the whole batch (%lld images): "
                       "expected at most as many",
                       (long long)wanted, (long long)found, found == 1 ? "" : "s",
                       (long long)self->global_batch);
    self->profile.first = (found - wanted) / 2;
    return LS_OK;
}

int trainer_open_profile(trainer *self, ls_error *error) {
    comm **each[] = {&self->comm, &self->grouped};
    if (self->settings->profile == 0)
        return LS_OK;
    int lanes = self->settings->mode.strict ? (int)trainer_lanes(self) / self->me->size : 1;
    int parts = lanes * (int)self->settings->mode.accumulate; /* one of the two is 1 */
    LS_TRY(trace_open(self->engine.device, self->engine.stream, (int)self->settings->profile,
                      self->graph.layer_count * parts, &self->profile.trace, error));
    for (size_t index = 0; index < sizeof each / sizeof each[0]; index++)
        if (*each[index])
            LS_TRY(trace_comm(self->profile.trace, *each[index], each[index], error));
    return LS_OK;
}

int trainer_align_profile(trainer *self, ls_error *error) {
    return self->profile.trace ? trace_align(self->profile.trace, self->control, error) : LS_OK;
}

/* Rank 0's own spans, in the rows of the floor; the others wait. */
static int write_files(trainer *self, const step_floor *floor, run_profile *profile,
                       ls_error *error) {
    int count;
    const span *mine = trace_spans(self->profile.trace, ROW_COMPUTE, &count);
    lifeline_at("profile", 0, 0);
    profile->rates = floor->rates;
    profile->rates.steps = trace_steps(self->profile.trace);
    profile->rows = floor->rows;
    profile->row_count = floor->row_count;
    LS_TRY(profile_seconds(&self->graph, mine, count, profile->rates.steps, floor->rows,
                           floor->row_count, &profile->rates.step_seconds, error));
    return run_write_profile(self->run, profile, error);
}

int trainer_write_profile(trainer *self, const step_floor *floor, ls_error *error) {
    run_profile profile = {.eager = self->recordings.records};
    span *spans = NULL;
    if (!self->profile.trace)
        return LS_OK;
    LS_TRY(trace_gather(self->profile.trace, self->control, &spans, &profile.span_count,
                        &profile.lost, &profile.uncertainty_seconds, error));
    profile.spans = spans;
    int status = floor->rows ? write_files(self, floor, &profile, error) : LS_OK;
    free(spans);
    return status;
}
