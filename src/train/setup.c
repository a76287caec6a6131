/* Opens what a run needs, in the order in which one thing needs another. */
#include "train/setup.h"
#include "comm/ablated.h"
#include "launch/lifeline.h"
#include "train/agree.h"
#include "train/batch_choice.h"
#include "train/batch_search.h"
#include "train/examine.h"
#include "train/gather_ranks.h"
#include "train/load_weights.h"
#include "train/memory.h"
#include "train/placement_search.h"
#include "train/plan_choices.h"
#include "train/prepare.h"
#include "train/profile.h"
#include "train/resume.h"
#include "train/run_mode.h"
#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int build_graph(trainer *self, ls_error *error) {
    const sample_facts *facts = input_facts(&self->input);
    LS_TRY(model_build_dropping(self->settings->model.model, &self->settings->model.drops,
                                facts->height, facts->width, facts->channels, facts->classes,
                                &self->graph, error));
    LS_TRY(graph_set_layernorm_epsilon(&self->graph, self->epsilon, error));
    LS_TRY(trainer_check_weights(self, error));
    if (self->settings->model.zero_init_residual)
        LS_TRY(graph_zero_branches(&self->graph, error));
    return LS_OK;
}

/* Planned, and then taken. */
static int seal_network(trainer *self, ls_error *error) {
    mode_settings settings;
    trainer_describe_mode(self, &self->learner, self->settings->mode.strict, &settings);
    LS_TRY(trainer_plan_memory(self, &settings, error));
    LS_TRY(trainer_check_memory(self, error));
    return trainer_fit(self, network_seal(self->learner.network, error), error);
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
    if (!self->batch.open)
        LS_TRY(trainer_take_batch(self, self->global_batch, error));
    LS_TRY(trainer_agree(self, error));
    if (!self->evaluates)
        LS_TRY(trainer_find_checkpoint(self, error));
    LS_TRY(trainer_describe_weights(self, error));
    LS_TRY(open_engine(self, error));
    LS_TRY(trainer_gather_ranks(self, error));
    LS_TRY(trainer_check_gpus(self, error));
    LS_TRY(trainer_examine(self, error));
    LS_TRY(open_comm(self, error));
    LS_TRY(build_graph(self, error));
    LS_TRY(trainer_find_batch(self, error));
    LS_TRY(trainer_find_placement(self, error));
    LS_TRY(trainer_prepare_network(self, error));
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
