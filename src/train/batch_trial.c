#include "train/batch_trial.h"
#include "base/clock.h"
#include "train/batch_choice.h"
#include "train/prepare.h"
#include "train/run_mode.h"
#include "train/trainer.h"

#include <malloc.h>
#include <math.h>

static void forget_network(trainer *self) {
    network_destroy(self->learner.network);
    self->learner.network = NULL;
}

static int prepare_and_plan(trainer *self, bool times, ls_error *error) {
    mode_settings settings;
    LS_TRY(trainer_prepare_alone(self, times, error));
    trainer_describe_mode(self, &self->learner, self->settings->mode.strict, &settings);
    return trainer_plan_memory(self, &settings, error);
}

int trainer_plan_batch(trainer *self, int64_t global_batch, ls_error *error) {
    self->global_batch = global_batch;
    input_set_batch(&self->input, global_batch);
    LS_TRY(prepare_and_plan(self, false, error));
    forget_network(self);
    return LS_OK;
}

static int open_blank(trainer *self, ls_error *error) {
    input_choices choices = self->settings->input;
    feed_settings settings = {.device = self->engine.device,
                              .stream = self->engine.stream,
                              .global_batch = self->global_batch};
    LS_TRY(network_seal(self->learner.network, error));
    LS_TRY(trainer_open_mode(self, &self->learner, self->settings->mode.strict, error));
    LS_TRY(mode_loader_share(self->settings->mode.mode, &self->learner.mode->settings,
                             &settings.rank, &settings.size, error));
    return input_open_blank(&self->input, &choices, &settings, error);
}

/* For the next one: an optimizer that is attached to nothing. */
static int close_blank(trainer *self, ls_error *error) {
    learner *learner = &self->learner;
    bool scaling = learner->optimizer.scaling;
    LS_TRY(self->control->is->barrier(self->control, error)); /* peers may still read there */
    input_close_blank(&self->input);
    learner_close(learner);
    learner->mode = NULL;
    learner->network = NULL;
    learner->optimizer = (optimizer){0};
    malloc_trim(0); /* what the run takes next need not fit into the gaps */
    return optimizer_create(&learner->optimizer, &self->settings->optimizer, scaling, error);
}

static int step(trainer *self, double *seconds, ls_error *error) {
    const engine *engine = &self->engine;
    input_batch batch;
    feed_blank(&self->input.train, input_largest_batch(&self->input), &batch);
    LS_TRY(feed_write_state(&self->input.train, error));
    LS_TRY(step_clock_begin(self->learner.mode->clock, false, error));
    LS_TRY(self->control->is->barrier(self->control, error));
    double start = clock_seconds();
    LS_TRY(learner_step(&self->learner, &self->input, &batch, true, error));
    LS_TRY(engine->device->is->stream_synchronize(engine->device, engine->stream, error));
    *seconds = clock_seconds() - start;
    return comm_allreduce_double(self->control, seconds, 1, REDUCTION_MAX, error);
}

/* Of the device's memory; on the host of this process's, in which its program is. */
static int look_beyond_plan(const trainer *self, double held, double *out, ls_error *error) {
    device *device = self->engine.device;
    size_t most;
    if (!device->is->most_held) {
        *out = fmax(0, memory_proportional_bytes() - held - (double)self->memory.program);
        return LS_OK;
    }
    LS_TRY(device->is->most_held(device, &most, error));
    *out = fmax(0, (double)most - held);
    return LS_OK;
}

/* What is held now, and will be beside it in the run: its loader has more than a blank batch. */
static int measure(trainer *self, const memory_room *room, batch_trial *out, ls_error *error) {
    double *load = &out->load;
    const memory_plan *plan = &self->memory;
    device *device = self->engine.device;
    size_t held[MEMORY_KINDS], free_bytes, total_bytes;
    double later = (double)(plan->loader.device + plan->device_copies), on_device = later;
    mode_memory(self->learner.mode, held);
    for (memory_kind use = 0; use < MEMORY_KINDS; use++)
        on_device += (double)held[use];
    LS_TRY(look_beyond_plan(self, on_device - later, &out->unplanned, error));
    *load = on_device / room->device;
    double on_host = memory_proportional_bytes() + (double)(plan->loader.host + plan->checkpoint);
    *load = fmax(*load, (on_host + room->reserve / 2) / room->host);
    if (!device->is->memory)
        return LS_OK;
    LS_TRY(device->is->memory(device, &free_bytes, &total_bytes, error));
    if ((double)free_bytes < later)
        *load = fmax(*load, 1 + (later - (double)free_bytes) / on_device);
    return LS_OK;
}

static int make_steps(trainer *self, int steps, const memory_room *room, batch_trial *out,
                      ls_error *error) {
    for (int number = 0; number < steps; number++) {
        double seconds;
        LS_TRY(step(self, &seconds, error));
        if (number > 0)
            out->seconds = fmin(out->seconds, seconds); /* NAN is none */
    }
    LS_TRY(measure(self, room, out, error));
    LS_TRY(comm_allreduce_double(self->control, &out->load, 1, REDUCTION_MAX, error));
    LS_TRY(comm_allreduce_double(self->control, &out->unplanned, 1, REDUCTION_MAX, error));
    out->fits = out->load <= 1;
    return LS_OK;
}

int trainer_try_batch(trainer *self, int64_t global_batch, int steps, const memory_room *room,
                      batch_trial *out, ls_error *error) {
    const char *by;
    *out = (batch_trial){.seconds = NAN};
    LS_TRY(trainer_take_batch(self, global_batch, error));
    LS_TRY(prepare_and_plan(self, true, error));
    out->load = trainer_memory_load(self, room, &by);
    LS_TRY(comm_allreduce_double(self->control, &out->load, 1, REDUCTION_MAX, error));
    out->fits = out->load <= 1;
    if (!out->fits) {
        forget_network(self);
        return LS_OK;
    }
    LS_TRY(open_blank(self, error));
    LS_TRY(make_steps(self, steps, room, out, error));
    return close_blank(self, error);
}
