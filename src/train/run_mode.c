#include "train/run_mode.h"
#include "train/trainer.h"

#include <math.h>

/* For all that is measured before ddp chooses how it exchanges gradients. */
static const double MEASURE_SECONDS = 1;

void trainer_describe_mode(trainer *self, learner *learner, bool strict, mode_settings *out) {
    /* Where ranks share cores they measure in turns. */
    double turns = self->engine.binding.oversubscribed ? self->me->local_size : 1;
    if (self->batch.open) /* a trial: less will do */
        turns = 10;
    *out = (mode_settings){.measure_seconds = fmax(MEASURE_SECONDS / turns, MEASURE_SECONDS / 10),
                           .rank = self->me->rank,
                           .size = self->me->size,
                           .comm = self->comm,
                           .control = self->control,
                           .between_nodes = self->me->node_count > 1,
                           .device = self->engine.device,
                           .stream = self->engine.stream,
                           .graph = learner->graph,
                           .network = learner->network,
                           .device_memory = memory_of_mode(self),
                           .label_smoothing = (float)self->settings->label_smoothing,
                           .seed = (uint64_t)self->settings->seed,
                           .forgets_gradients = true,
                           .beside = input_beside(&self->settings->input),
                           .global_batch = self->global_batch,
                           .training_batch = input_largest_batch(&self->input),
                           .last_training_batch = self->input.train.last};
    if (self->grouped)
        out->group = (shard_group){.size = self->groups.size,
                                   .place = self->groups.place,
                                   .copy = self->groups.mine,
                                   .comm = self->grouped};
    mode_take_options(&self->settings->mode, strict, out);
    optimizer_describe(&learner->optimizer, self->engine.device, self->engine.update_stream, out);
}

int trainer_open_mode(trainer *self, learner *learner, bool strict, ls_error *error) {
    mode_settings settings;
    trainer_describe_mode(self, learner, strict, &settings);
    LS_TRY(mode_create(self->settings->mode.mode, &settings, &learner->mode, error));
    return optimizer_attach(&learner->optimizer, learner->mode, learner->network, learner->graph,
                            &self->rates, error);
}
