/* What the device does at its best, measured once after training: the yardstick of a profile's rows
 * and, on a GPU, of a whole step. */
#include "train/floor.h"
#include "launch/lifeline.h"
#include "trace/rates.h"
#include "train/profile_rows.h"
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>

static profile_work describe_work(const trainer *self) {
    int64_t batch = input_largest_batch(&self->input);
    const feed_settings *feed = &self->input.train.settings;
    return (profile_work){
        .graph = &self->graph,
        .count = mode_local_count(self->learner.mode, batch),
        .loaded = feed->size > 0 ? (int)share_of(batch, feed->rank, feed->size).count : 0,
        .moments =
            mode_updates(self->learner.mode) ? optimizer_moments(&self->learner.optimizer) : -1,
        .type = network_type(self->learner.network)};
}

static double floor_of_step(const step_floor *floor) {
    double seconds = 0;
    for (size_t row = 0; row < floor->row_count; row++)
        if (!isnan(floor->rows[row].floor_seconds))
            seconds += floor->rows[row].floor_seconds;
    return seconds > 0 ? seconds : NAN;
}

static int measure(trainer *self, step_floor *out, ls_error *error) {
    profile_work work = describe_work(self);
    device_rates rates;
    lifeline_at("the device's rates", 0, 0);
    LS_TRY(device_rates_measure(self->engine.device, self->engine.stream, trainer_precision(self),
                                &rates, error));
    out->rates = (layer_rates){.flop_per_second = rates.flop_per_second,
                               .bytes_per_second = rates.bytes_per_second};
    out->rows = calloc((size_t)self->graph.layer_count * 3 + 5, sizeof *out->rows);
    if (!out->rows)
        return ls_fail(error, LS_FAILED, "out of memory");
    out->row_count = profile_rows(&work, &out->rates, out->rows);
    return LS_OK;
}

/* The results of a run that has trained are not lost for the sake of its yardstick. */
int trainer_measure_floor(trainer *self, step_floor *out, ls_error *error) {
    ls_error refused = {0};
    *out = (step_floor){0};
    self->totals.step_floor = (step_rates){NAN, NAN, NAN};
    if (self->me->rank != 0 || trainer_ablates(self, "compute") ||
        (!self->profile.trace && !self->engine.device->facts.asynchronous))
        return LS_OK;
    if (measure(self, out, &refused) != LS_OK)
        return run_note(self->run, error, "the floor of a step was not measured: %s", refused.text);
    if (self->engine.device->facts.asynchronous)
        self->totals.step_floor = (step_rates){.seconds = floor_of_step(out),
                                               .flop_per_second = out->rates.flop_per_second,
                                               .bytes_per_second = out->rates.bytes_per_second};
    return LS_OK;
}
