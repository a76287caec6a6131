#include "train/placement_search.h"
#include "base/clock.h"
#include "train/batch_trial.h"
#include "train/trainer.h"
#include "train/usage.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STEPS = 2 };

/* Of the device's memory: on the host a rank's share, but for its program and what else it has. */
static double bound_of(const trainer *self, const memory_room *room, const char **by) {
    const memory_plan *plan = &self->memory;
    *by = room->device_by;
    if (!isinf(room->device))
        return room->device;
    *by = room->host_by;
    return room->host - room->reserve - memory_proportional_bytes() - (double)plan->loader.host -
           (double)plan->checkpoint;
}

static int too_little(const trainer *self, const memory_room *room, const batch_trial *trial,
                      ls_error *error) {
    const char *by;
    double bound = bound_of(self, room, &by);
    return ls_fail(error, LS_BAD_INPUT,
                   "--placement auto: a rank would hold %.1f MB with all elsewhere that can be, "
                   "%.2f of what it may: %.1f MB by %s (give a smaller batch, or --accumulate "
                   "auto)",
                   (double)memory_device_bytes(&self->memory) / 1e6, trial->load, bound / 1e6, by);
}

/* Of all ranks the least. */
static int take(trainer *self, const memory_room *room, const batch_trial *trial, double seconds,
                ls_error *error) {
    const char *by;
    double bytes = trial->unplanned - bound_of(self, room, &by);
    LS_TRY(comm_allreduce_double(self->control, &bytes, 1, REDUCTION_MAX, error));
    self->placement.bytes = bytes < -1 ? (size_t)-bytes : 1;
    snprintf(self->placement.note, sizeof self->placement.note,
             "auto: %.1f MB a rank (%.120s), without %.1f MB that %d steps took beyond their plan; "
             "found in %.2g s",
             (double)self->placement.bytes / 1e6, by, trial->unplanned / 1e6, STEPS, seconds);
    return LS_OK;
}

int trainer_find_placement(trainer *self, ls_error *error) {
    memory_room room;
    batch_trial trial;
    double began = clock_seconds();
    if (self->evaluates || strcmp(self->settings->mode.placement, "auto") != 0)
        return LS_OK;
    LS_TRY(trainer_memory_room(self, &room, error));
    self->placement.least = true;
    LS_TRY(trainer_try_batch(self, self->global_batch, STEPS, &room, &trial, error));
    self->placement.least = false;
    if (!trial.fits)
        return too_little(self, &room, &trial, error);
    trainer_forget_peak_memory();
    return take(self, &room, &trial, clock_seconds() - began, error);
}
