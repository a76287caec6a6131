/* Opens what a run needs, in the order in which one thing needs another. */
#include "train/setup.h"
#include "comm/ablated.h"
#include "launch/lifeline.h"
#include "train/agree.h"
#include "train/examine.h"
#include "train/gather_ranks.h"
#include "train/load_weights.h"
#include "train/memory.h"
#include "train/plan_choices.h"
#include "train/profile.h"
#include "train/resume.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For all that is measured before ddp chooses how it exchanges gradients. */
static const double MEASURE_SECONDS = 1;

static input_choices choices_of(const trainer *self) {
    const train_settings *s = self->settings;
    input_choices choices = s->input;
    choices.seed = (uint64_t)s->seed;
    choices.one_batch = trainer_ablates(self, "data");
    return choices;
}

static int open_data(trainer *self, ls_error *error) {
    input_choices choices = choices_of(self);
    LS_TRY(input_find(&self->input, &choices, self->global_batch, error));
    int64_t samples = input_facts(&self->input)->samples;
    if (samples < self->me->size)
        return ls_fail(error, LS_BAD_INPUT, "%s: %lld training images are fewer than %d ranks",
                       self->settings->input.folder, (long long)samples, self->me->size);
    return LS_OK;
}

static int open_engine(trainer *self, ls_error *error) {
    char plan_cache[4096] = "";
    if (self->me->rank == 0 && !self->settings->mode.strict)
        trainer_plan_cache(self, plan_cache, sizeof plan_cache);
    return engine_open(&self->engine, self->me, self->settings, plan_cache, error);
}

static int open_ablated(trainer *self, ls_error *error) {
    comm **each[] = {&self->comm, &self->grouped};
    for (size_t index = 0; index < sizeof each / sizeof each[0]; index++) {
        if (!*each[index])
            continue;
        LS_TRY(comm_ablated_open(*each[index], &self->ablated[index], error));
        *each[index] = self->ablated[index];
    }
    return LS_OK;
}

static int open_groups(trainer *self, const comm_settings *settings, ls_error *error) {
    LS_TRY(comm_groups_find(self->control, self->settings->mode.within, self->me->host,
                            &self->groups, error));
    if (self->groups.count == 1)
        return LS_OK;
    return comm_grouped_open(settings, &self->groups, self->comm, &self->grouped, error);
}

static int open_comm(trainer *self, ls_error *error) {
    device *device = self->engine.device;
    if (self->me->size > 1 && device->facts.asynchronous)
        LS_TRY(engine_watch(&self->engine, error));
    comm_settings settings = {.rank = self->me->rank,
                              .size = self->me->size,
                              .host = self->me->host,
                              .device = device,
                              .control = self->control,
                              .deadline_seconds = self->settings->comm.timeout,
                              .progress = self->engine.progress,
                              .progress_bytes = sizeof *self->engine.progress,
                              .progress_busy = engine_progress_busy,
                              .progress_describe = engine_progress_describe,
                              .processing_units = self->engine.binding.processing_units,
                              .processing_unit_count = self->engine.binding.threads};
    LS_TRY(comm_open(self->settings->comm.comm, &settings, &self->comm, error));
    LS_TRY(open_groups(self, &settings, error));
    return trainer_ablates(self, "comm") ? open_ablated(self, error) : LS_OK;
}

static int open_control(trainer *self, ls_error *error) {
    comm_settings settings = {
        .rank = self->me->rank, .size = self->me->size, .host = self->me->host};
    return comm_open("auto", &settings, &self->control, error);
}

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

static int make_network(trainer *self, ls_error *error) {
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
    LS_TRY(make_network(self, error));
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

static int prepare_network(trainer *self, ls_error *error) {
    const sample_facts *facts = input_facts(&self->input);
    LS_TRY(model_build_dropping(self->settings->model.model, &self->settings->model.drops,
                                facts->height, facts->width, facts->channels, facts->classes,
                                &self->graph, error));
    LS_TRY(graph_set_layernorm_epsilon(&self->graph, self->epsilon, error));
    LS_TRY(trainer_check_weights(self, error));
    if (self->settings->model.zero_init_residual)
        LS_TRY(graph_zero_branches(&self->graph, error));
    LS_TRY(make_network(self, error));
    LS_TRY(prepare_in_turn(self, error));
    network_give_room(self->learner.network, input_beside(&self->settings->input));
    return LS_OK;
}

/* What settings, network and data say of the mode to make. */
static mode_settings describe_mode(const trainer *self, const learner *learner, bool strict) {
    /* Where ranks share cores they measure in turns. */
    double turns = self->engine.binding.oversubscribed ? self->me->local_size : 1;
    mode_settings out = {.measure_seconds = fmax(MEASURE_SECONDS / turns, MEASURE_SECONDS / 10),
                         .rank = self->me->rank,
                         .size = self->me->size,
                         .comm = self->comm,
                         .control = self->control,
                         .between_nodes = self->me->node_count > 1,
                         .device = self->engine.device,
                         .stream = self->engine.stream,
                         .graph = learner->graph,
                         .network = learner->network,
                         .label_smoothing = (float)self->settings->label_smoothing,
                         .seed = (uint64_t)self->settings->seed,
                         .forgets_gradients = true,
                         .beside = input_beside(&self->settings->input),
                         .global_batch = self->global_batch,
                         .training_batch = input_largest_batch(&self->input),
                         .last_training_batch = self->input.train.last};
    if (self->grouped)
        out.group = (shard_group){.size = self->groups.size,
                                  .place = self->groups.place,
                                  .copy = self->groups.mine,
                                  .comm = self->grouped};
    mode_take_options(&self->settings->mode, strict, &out);
    return out;
}

/* Planned, and then taken. */
static int seal_network(trainer *self, ls_error *error) {
    mode_settings settings = describe_mode(self, &self->learner, self->settings->mode.strict);
    optimizer_describe(&self->learner.optimizer, self->engine.device, self->engine.update_stream,
                       &settings);
    LS_TRY(trainer_plan_memory(self, &settings, error));
    LS_TRY(trainer_check_memory(self, error));
    return trainer_fit(self, network_seal(self->learner.network, error), error);
}

int trainer_open_mode(trainer *self, learner *learner, bool strict, ls_error *error) {
    mode_settings settings = describe_mode(self, learner, strict);
    optimizer_describe(&learner->optimizer, self->engine.device, self->engine.update_stream,
                       &settings);
    LS_TRY(mode_create(self->settings->mode.mode, &settings, &learner->mode, error));
    return optimizer_attach(&learner->optimizer, learner->mode, learner->network, learner->graph,
                            &self->rates, error);
}

static int open_split(trainer *self, bool training, ls_error *error) {
    input_choices choices = choices_of(self);
    feed_settings settings = {.device = self->engine.device,
                              .stream = self->engine.stream,
                              .global_batch = self->global_batch,
                              .processing_units = self->engine.binding.processing_units,
                              .processing_unit_count = self->engine.binding.threads};
    LS_TRY(mode_loader_share(self->settings->mode.mode, &self->learner.mode->settings,
                             &settings.rank, &settings.size, error));
    return input_open_split(&self->input, &choices, &settings, training, error);
}

static int open_input(trainer *self, ls_error *error) {
    lifeline_at("set-up", 0, 1); /* the slow parts are places of their own */
    if (!self->evaluates)
        LS_TRY(open_split(self, true, error));
    lifeline_at("set-up", 0, 2);
    LS_TRY(open_split(self, false, error));
    /* The network's inputs hold a micro-batch, so a whole batch cannot be made ahead there. */
    if (trainer_ablates(self, "compute") && self->input.train.resident)
        return ls_fail(error, LS_BAD_INPUT,
                       "--ablate compute measures the loader, and the images lie on the GPU: "
                       "expected --data-place host");
    bool ahead = !self->evaluates && self->learner.mode->is->takes_made &&
                 self->settings->mode.accumulate == 1;
    return ahead ? input_open_ahead(&self->input, error) : LS_OK;
}

static int check_ablation(const trainer *self, ls_error *error) {
    const train_settings *s = self->settings;
    if (trainer_ablates(self, "compute") && (s->step_log || s->profile > 0))
        return ls_fail(error, LS_BAD_INPUT,
                       "--ablate compute takes no step: found %s with it (leave it out)",
                       s->step_log ? "--step-log" : "--profile");
    if (!trainer_ablates(self, "comm") || self->me->size > 1)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "--ablate comm: one rank has no communication to leave out: expected 2 or more "
                   "(mpirun -n 2, srun -n 2)");
}

static int open_balance(trainer *self, ls_error *error) {
    size_t size = (size_t)self->me->size;
    self->ranks.epochs = calloc(size, sizeof *self->ranks.epochs);
    self->ranks.sums = calloc(size, sizeof *self->ranks.sums);
    if (!self->ranks.epochs || !self->ranks.sums)
        return ls_fail(error, LS_FAILED, "out of memory");
    return balance_open(&self->ranks.balance, self->control, self->input.train.batches,
                        mode_updates(self->learner.mode), error);
}

/* Several need the samples on the device and nobody who looks at each step; and an epoch that has
 * them and the batch behind them, all full. Every rank the same number, for there are collectives
 * in each step: where the samples lie is each rank's own matter. */
static int agree_on_steps(trainer *self, ls_error *error) {
    const train_settings *s = self->settings;
    bool several = self->recordings.records && input_records(&self->input) && !s->step_log &&
                   self->input.train.batches > s->graph_steps + 1;
    int64_t steps = several ? s->graph_steps : 1;
    if (self->engine.device->is->graph_begin)
        LS_TRY(comm_allreduce_int64(self->control, &steps, 1, REDUCTION_MIN, error));
    self->recordings.steps = (int)steps;
    return LS_OK;
}

int trainer_setup(trainer *self, ls_error *error) {
    const train_settings *s = self->settings;
    lifeline_at("set-up", 0, 0);
    self->learner = (learner){.engine = &self->engine, .graph = &self->graph};
    LS_TRY(mode_check_options(&s->mode, self->me->size, self->global_batch, error));
    LS_TRY(optimizer_create(&self->learner.optimizer, &s->optimizer,
                            trainer_precision(self) == PRECISION_FP16, error));
    LS_TRY(schedule_check(&s->schedule, error));
    LS_TRY(open_control(self, error));
    LS_TRY(check_ablation(self, error));
    LS_TRY(open_data(self, error));
    LS_TRY(trainer_check_profile(self, error));
    LS_TRY(schedule_rates(&s->schedule, s->optimizer.learning_rate, s->epochs,
                          self->input.train.batches, &self->rates, error));
    LS_TRY(trainer_agree(self, error));
    if (!self->evaluates)
        LS_TRY(trainer_find_checkpoint(self, error));
    LS_TRY(trainer_describe_weights(self, error));
    LS_TRY(open_engine(self, error));
    LS_TRY(trainer_gather_ranks(self, error));
    LS_TRY(trainer_check_gpus(self, error));
    LS_TRY(trainer_examine(self, error));
    LS_TRY(open_comm(self, error));
    LS_TRY(prepare_network(self, error));
    LS_TRY(seal_network(self, error));
    LS_TRY(trainer_open_profile(self, error));
    LS_TRY(
        trainer_fit(self, trainer_open_mode(self, &self->learner, s->mode.strict, error), error));
    for (int each = 0; each < 2; each++)
        if (self->ablated[each]) /* the mode has measured what it chooses by */
            comm_ablate(self->ablated[each]);
    self->recordings.records = !s->no_graph && self->engine.device->is->graph_begin &&
                               self->learner.mode->is->capturable && self->comm->is->capturable &&
                               (!self->grouped || self->grouped->is->capturable);
    LS_TRY(open_balance(self, error));
    LS_TRY(trainer_fit(self, open_input(self, error), error));
    return agree_on_steps(self, error);
}

void trainer_close(trainer *self) {
    saver_close(&self->saver);
    uploader_close(&self->uploader);
    resumed_close(&self->resumed);
    step_log_close(self->step_log);
    step_certificate_close(&self->certificate);
    attempts_close(self->ledger.attempts);
    run_close(self->run);
    monitor_close(self->monitor);
    pulse_close(self->pulse);
    recordings_forget(&self->recordings, self->engine.device);
    input_close(&self->input);
    learner_close(&self->learner);
    graph_release(&self->graph);
    comm_close(self->grouped);
    comm_close(self->comm);
    comm_groups_free(&self->groups);
    trace_close(self->profile.trace);
    comm_close(self->control);
    engine_close(&self->engine);
    balance_close(&self->ranks.balance);
    free(self->rates.rates);
    free(self->ranks.epochs);
    free(self->ranks.sums);
    free(self->ranks.facts);
    free(self->ranks.usage);
}
