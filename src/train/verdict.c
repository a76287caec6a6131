/* The verdict on a sharded run: memory by ddp's plan, time by this run's phases, with the update of
 * all parameters and the all-reduce in place of what was exposed here. */
#include "train/verdict.h"
#include "base/memory_left.h"
#include "mode/ddp_price.h"
#include "train/trainer.h"

#include <math.h>

/* Of the whole array, what this rank updates. */
static double updated_share(const store *store, size_t all) {
    size_t own = 0;
    for (int index = 0; index < store_slice_count(store); index++)
        own += store_updated(store, index).count;
    return (double)own / (double)all;
}

static int judge_time(trainer *self, ls_error *error) {
    const run_totals *totals = &self->totals;
    const phase_seconds *phases = &totals->phases;
    double steps = (double)totals->images / (double)self->global_batch, exposed;
    double share = updated_share(self->learner.mode->store, self->graph.parameter_count);
    LS_TRY(mode_rest(self->learner.mode, error));
    LS_TRY(ddp_price_exposed(self->learner.mode, phases->backward / steps, &exposed, error));
    double times[] = {
        (totals->training_seconds - phases->communication - phases->optimizer) / steps + exposed,
        phases->optimizer / steps / share};
    LS_TRY(comm_allreduce_double(self->control, times, 2, REDUCTION_MAX, error));
    self->totals.ddp_step_seconds = times[0] + times[1];
    return LS_OK;
}

/* What a rank may have: an even share of the node's, or the device's; --device-memory. */
static int find_room(const trainer *self, double *out, ls_error *error) {
    device *device = self->engine.device;
    size_t free_bytes, total_bytes;
    double bound = (double)self->settings->device.memory_mb * 1e6;
    *out = memory_limit_bytes("") / self->me->local_size;
    if (device->is->memory && !device->facts.host_addressable) {
        LS_TRY(device->is->memory(device, &free_bytes, &total_bytes, error));
        *out = (double)total_bytes;
    }
    if (bound > 0)
        *out = fmin(*out, bound);
    return LS_OK;
}

static int judge_memory(trainer *self, ls_error *error) {
    size_t ddp[MEMORY_KINDS], own[MEMORY_KINDS];
    double most[2] = {self->ranks.facts[self->me->rank].memory.planned};
    LS_TRY(ddp_price_memory(self->learner.mode, ddp, error));
    mode_memory(self->learner.mode, own);
    for (memory_kind use = 0; use < MEMORY_KINDS; use++)
        most[0] += (double)ddp[use] - (double)own[use];
    LS_TRY(find_room(self, &most[1], error));
    most[1] = -most[1];
    LS_TRY(comm_allreduce_double(self->control, most, 2, REDUCTION_MAX, error));
    self->totals.ddp_memory_bytes = most[0];
    self->totals.ddp_room_bytes = -most[1];
    return LS_OK;
}

int trainer_judge_sharding(trainer *self, ls_error *error) {
    run_totals *totals = &self->totals;
    const mode *mode = self->learner.mode;
    totals->ddp_step_seconds = totals->ddp_memory_bytes = totals->ddp_room_bytes = NAN;
    if (!mode->is->shards || self->me->size == 1 || !trainer_ablates(self, "none") ||
        totals->images == 0)
        return LS_OK;
    LS_TRY(judge_memory(self, error));
    return mode->lanes ? LS_OK : judge_time(self, error);
}
