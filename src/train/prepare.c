/* A network with plans for every size of batch that a rank will see. */
#include "train/prepare.h"
#include "train/plan_choices.h"
#include "train/trainer.h"

int trainer_prepare_batch(const trainer *self, network *network, int of, int64_t global_count,
                          ls_error *error) {
    const train_settings *s = self->settings;
    mode_settings rank = {
        .rank = of, .size = self->me->size, .micro_batches = (int)s->mode.accumulate};
    for (int number = rank.micro_batches - 1; number >= 0; number--) { /* the largest stands last */
        int count;
        LS_TRY(mode_micro_count(s->mode.mode, &rank, global_count, number, &count, error));
        LS_TRY(network_prepare(network, count, error));
    }
    return LS_OK;
}

/* Plans for the batches that rank `of` will see. */
static int prepare_passes(trainer *self, int of, ls_error *error) {
    const feed *feeds[] = {&self->input.train, &self->input.test};
    for (int index = self->evaluates; index < 2; index++) {
        int64_t sizes[] = {feeds[index]->batches > 1 ? self->global_batch : feeds[index]->last,
                           feeds[index]->last};
        for (int size = 0; size < 2; size++)
            LS_TRY(trainer_prepare_batch(self, self->learner.network, of, sizes[size], error));
    }
    return LS_OK;
}

/* Plans for the micro-batches of a lane that has `count` samples. */
static int prepare_lane(trainer *self, int64_t count, ls_error *error) {
    int64_t parts = self->settings->mode.accumulate;
    for (int64_t more = 1; more >= 0; more--)
        LS_TRY(network_prepare(self->learner.network, (int)((count + more * (parts - 1)) / parts),
                               error));
    return LS_OK;
}

/* Plans for every size that any lane will have: the same on every rank of every number of ranks,
 * and the largest first, for its plans decide how weights are packed. */
static int prepare_lanes(trainer *self, ls_error *error) {
    const feed *feeds[] = {&self->input.train, &self->input.test};
    int64_t lanes = trainer_lanes(self);
    LS_TRY(prepare_lane(self, (self->global_batch + lanes - 1) / lanes, error));
    for (int index = 0; index < 2; index++) {
        int64_t sizes[] = {feeds[index]->batches > 1 ? self->global_batch : feeds[index]->last,
                           feeds[index]->last};
        for (int size = 0; size < 2; size++)
            for (int64_t more = 1; more >= 0; more--)
                LS_TRY(prepare_lane(self, (sizes[size] + more * (lanes - 1)) / lanes, error));
    }
    return LS_OK;
}

int trainer_make_network(trainer *self, ls_error *error) {
    LS_TRY(network_create(&self->graph, self->engine.device, trainer_precision(self),
                          &self->learner.network, error));
    network_recompute(self->learner.network, recompute_of(self->settings->model.recompute));
    return LS_OK;
}

/* For every size that any rank will see, by plans that exist for that alone: the first rank's share
 * and the last one's, the largest. */
static int choose_for_all(trainer *self, ls_error *error) {
    device *device = self->engine.device;
    device->is->choices_collect(device);
    LS_TRY(prepare_passes(self, 0, error));
    LS_TRY(prepare_passes(self, self->me->size - 1, error));
    LS_TRY(device->is->choices_settle(device, error));
    network_destroy(self->learner.network);
    self->learner.network = NULL;
    LS_TRY(trainer_make_network(self, error));
    LS_TRY(prepare_passes(self, 0, error));
    return prepare_passes(self, self->me->size - 1, error);
}

/* Preparing may choose algorithms: rank 0 does, for every size that any rank will see (the last
 * rank has the largest share), and the others take what it chose. */
static int prepare_in_turn(trainer *self, ls_error *error) {
    if (self->settings->mode.strict) {
        LS_TRY(
            network_split(self->learner.network, (int)trainer_lanes(self) / self->me->size, error));
        if (self->engine.device->is->choices_export && self->me->rank == 0)
            LS_TRY(prepare_lanes(self, error));
        if (self->engine.device->is->choices_export)
            LS_TRY(trainer_share_choices(self, error));
        return prepare_lanes(self, error);
    }
    if (!self->engine.device->is->choices_export)
        return prepare_passes(self, self->me->rank, error);
    if (self->me->rank == 0)
        LS_TRY(choose_for_all(self, error));
    LS_TRY(trainer_share_choices(self, error));
    return prepare_passes(self, self->me->rank, error);
}

int trainer_prepare_network(trainer *self, ls_error *error) {
    LS_TRY(trainer_make_network(self, error));
    LS_TRY(prepare_in_turn(self, error));
    network_give_room(self->learner.network, input_beside(&self->settings->input));
    return LS_OK;
}

/* The sizes of the largest batch, but not of those that are shorter: they need no more. */
static int prepare_largest(trainer *self, ls_error *error) {
    int64_t lanes = trainer_lanes(self), largest = input_largest_batch(&self->input);
    if (!self->settings->mode.strict)
        return trainer_prepare_batch(self, self->learner.network, self->me->rank, largest, error);
    LS_TRY(network_split(self->learner.network, (int)lanes / self->me->size, error));
    return prepare_lane(self, (largest + lanes - 1) / lanes, error);
}

int trainer_prepare_alone(trainer *self, bool times, ls_error *error) {
    const device_interface *is = self->engine.device->is;
    LS_TRY(trainer_make_network(self, error));
    if (is->choices_collect && times && !self->settings->mode.strict) {
        is->choices_collect(self->engine.device);
        LS_TRY(prepare_largest(self, error));
        LS_TRY(is->choices_settle(self->engine.device, error));
        network_destroy(self->learner.network);
        LS_TRY(trainer_make_network(self, error));
    }
    LS_TRY(prepare_largest(self, error));
    network_give_room(self->learner.network, input_beside(&self->settings->input));
    return LS_OK;
}
