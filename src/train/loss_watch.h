/* The losses of an epoch so far, and a loss that is not a finite number: at which step it began,
 * and on which rank. A device notes the step as it adds up its totals (device/step_state.h), so
 * nothing is read at a step for it. Where one rank alone computes with memory that is damaged, the
 * sum of the gradients brings it to all ranks in the same step, and one step later every loss is
 * such; so who was first says who. */
#ifndef LOCKSTEP_TRAIN_LOSS_WATCH_H
#define LOCKSTEP_TRAIN_LOSS_WATCH_H

#include "base/error.h"
#include "device/step_state.h"

#include <stdint.h>

typedef struct trainer trainer;

/* This rank's totals since they were last cleared: of the epoch that is trained or evaluated. Waits
 * for the device. */
int trainer_read_totals(trainer *self, loss_totals *out, ls_error *error);

/* Of this rank's `totals` since the epoch began: a number of which the ranks take the maximum; 0
 * where all is well, and with --ablate comm, whose ranks train on nothing. */
int64_t loss_watch_word(const trainer *self, const loss_totals *totals);
/* Of the maximum of all ranks' words, on all ranks: LS_OK; or the rank that was first, the lowest
 * of those, fails with a line (LS_FAILED), and on the others this does not return. */
int loss_watch_judge(trainer *self, int64_t word, ls_error *error);

/* Both, for the epoch that goes on. Collective: no rank leaves it before all have come. */
int loss_watch_check(trainer *self, ls_error *error);

#endif
