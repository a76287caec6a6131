/* --profile: a few steps of epoch 1, recorded. */
#ifndef LOCKSTEP_TRAIN_PROFILE_H
#define LOCKSTEP_TRAIN_PROFILE_H

#include "train/floor.h"
#include "train/trainer.h"

/* LS_BAD_INPUT where an epoch has fewer steps. */
int trainer_check_profile(trainer *self, ls_error *error);
/* Opens the trace and puts it between the mode and its comm. */
int trainer_open_profile(trainer *self, ls_error *error);
/* Before and after the profiled epoch, out of its time. Collective. */
int trainer_align_profile(trainer *self, ls_error *error);
static inline bool trainer_is_profiled(const trainer *self, int epoch, int64_t step) {
    return self->profile.trace && epoch == 1 && step >= self->profile.first &&
           step < self->profile.first + self->settings->profile;
}
/* All ranks' spans gathered, files and table written; no files where the floor was not measured.
 * Collective. */
int trainer_write_profile(trainer *self, const step_floor *floor, ls_error *error);

#endif
