/* The header: what this run is, from every rank. */
#include "base/clock.h"
#include "launch/environment.h"
#include "launch/versions.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Cut to the room there is. */
#define COPY(to, from) snprintf(to, sizeof(to), "%.*s", (int)sizeof(to) - 1, from)

static int gather_ranks(trainer *self, ls_error *error) {
    rank_facts mine = {.rank = self->me->rank,
                       .numa_node = self->binding.numa_node,
                       .threads = self->binding.threads,
                       .gpu_numa_node = self->device->facts.numa_node};
    COPY(mine.gpu_uuid, self->device->facts.uuid);
    COPY(mine.driver, self->device->facts.driver);
    COPY(mine.host, self->me->host);
    COPY(mine.device, self->device->facts.name);
    COPY(mine.cores, self->binding.map);
    self->ranks = calloc((size_t)self->me->size, sizeof *self->ranks);
    if (!self->ranks)
        return ls_fail(error, LS_FAILED, "out of memory");
    return comm_allgather_bytes(self->control, &mine, self->ranks, sizeof mine, error);
}

static void now_as_text(char *out, size_t capacity) {
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(out, capacity, "%Y-%m-%dT%H:%M:%S%z", &local);
}

static void describe_data(const trainer *self, run_facts *facts) {
    COPY(facts->data_folder, self->settings->data);
    COPY(facts->dataset_id, self->train.data->facts.id);
    facts->train_images = self->train.data->facts.images;
    facts->test_images = self->test.data->facts.images;
}

static void describe_job(const trainer *self, run_facts *facts) {
    COPY(facts->version, LOCKSTEP_VERSION);
    snprintf(facts->program_hash, sizeof facts->program_hash, "%016" PRIx64, launch_program_hash());
    COPY(facts->command_line, self->command_line);
    now_as_text(facts->started, sizeof facts->started);
    COPY(facts->launcher, self->me->launcher);
    COPY(facts->slurm_job_id, self->me->slurm_job_id);
    facts->ranks = self->me->size;
    facts->nodes = self->me->node_count;
    facts->rank_list = self->ranks;
    facts->oversubscribed = self->binding.oversubscribed;
    environment_describe(1u << ENVIRONMENT_ARITHMETIC | 1u << ENVIRONMENT_TIMES, facts->environment,
                         sizeof facts->environment);
    environment_describe(1u << ENVIRONMENT_COMMUNICATION, facts->communication_environment,
                         sizeof facts->communication_environment);
    environment_describe(1u << ENVIRONMENT_TAKEN_OUT, facts->environment_taken_out,
                         sizeof facts->environment_taken_out);
    launch_describe_versions(self->me, facts->versions, sizeof facts->versions);
    size_t used = strlen(facts->versions);
    snprintf(facts->versions + used, sizeof facts->versions - used, "%sHDF5 %s, %s",
             used ? ", " : "", dataset_hdf5_version(), self->device->facts.library);
}

/* An ablated run is no training, and its ranks may differ: there is nothing to certify. */
static bool is_certified(const trainer *self) {
    return strcmp(self->settings->certificate, "on") == 0 && trainer_ablates(self, "none");
}

static void describe_training(const trainer *self, run_facts *facts) {
    const train_settings *s = self->settings;
    COPY(facts->mode, s->mode);
    COPY(facts->model, s->model);
    COPY(facts->device, self->device->is->name);
    COPY(facts->device_library, self->device->facts.library);
    COPY(facts->precision, s->precision);
    COPY(facts->comm, self->comm->is->name);
    if (strcmp(self->comm->is->name, "mpi") == 0 && !self->device->facts.host_addressable)
        snprintf(facts->comm_note, sizeof facts->comm_note, "%s: staged through pinned host memory",
                 strcmp(self->settings->comm, "mpi") == 0 ? "--comm mpi" : "ranks share a GPU");
    else
        COPY(facts->comm_note, self->comm->note);
    COPY(facts->augment, s->augment);
    trainer_describe_warmup(facts->warmup_rule, sizeof facts->warmup_rule);
    COPY(facts->optimizer, s->optimizer);
    COPY(facts->scaling, self->scaling);
    facts->parameters = (int64_t)self->graph.parameter_count;
    facts->global_batch = self->global_batch;
    facts->batch_per_rank = self->global_batch / self->me->size;
    facts->epochs = (int)s->epochs;
    facts->seed = s->seed;
    facts->learning_rate = s->learning_rate;
    facts->momentum = self->optimizer.adam ? NAN : s->momentum;
    facts->weight_decay = s->weight_decay;
    if (!trainer_ablates(self, "none"))
        COPY(facts->ablate, s->ablate);
    facts->profile_steps = (int)s->profile;
    facts->certified = is_certified(self);
    facts->certificate_every = s->certificate_every;
    facts->tensorboard = strcmp(s->tensorboard, "on") == 0;
}

/* "fc1" as factors, or not, and the times that were weighed. */
static void describe_unit(const unit_exchange *unit, const char *name, run_facts *facts) {
    size_t noted = strlen(facts->factor_note), listed = strlen(facts->factor_layers);
    char *note = facts->factor_note + noted;
    if (unit->factors)
        snprintf(facts->factor_layers + listed, sizeof facts->factor_layers - listed, "%s%s",
                 listed ? ";" : "", name);
    if (!isnan(unit->reduce_seconds))
        snprintf(note, sizeof facts->factor_note - noted,
                 "%s%s%s (%.3g ms as factors, %.3g ms all-reduced, give or take %.2g)",
                 noted ? ", " : "", unit->factors ? "" : "not ", name, 1e3 * unit->factor_seconds,
                 1e3 * unit->reduce_seconds, 1e3 * unit->spread_seconds);
    else if (unit->outgrown)
        snprintf(note, sizeof facts->factor_note - noted,
                 "%snot %s (the rows of all ranks are more than its gradient)", noted ? ", " : "",
                 name);
    else if (unit->factors)
        snprintf(note, sizeof facts->factor_note - noted, "%s%s", noted ? ", " : "", name);
}

static void describe_exchange(const trainer *self, run_facts *facts) {
    const mode_exchange *exchange = &self->mode->exchange;
    COPY(facts->grad_comm, self->settings->grad_comm);
    facts->lanes = self->mode->settings.lanes;
    facts->hop_latency_seconds = facts->hop_bytes_per_second = NAN;
    if (!exchange->used)
        return;
    COPY(facts->factor_comm, facts->lanes ? "off" : self->settings->factor_comm);
    for (int unit = 0; unit < self->graph.unit_count; unit++)
        describe_unit(&exchange->units[unit],
                      self->graph.layers[self->graph.unit_layers[unit]].name, facts);
    facts->buckets_chosen = self->settings->bucket_mb == 0;
    facts->update_shared = exchange->update_shared;
    facts->buckets = exchange->bucket_count;
    facts->largest_bucket_bytes = (double)exchange->largest_bucket_bytes;
    facts->first_bucket_bytes = (double)exchange->first_bucket_bytes;
    facts->exchange_seconds = exchange->measured_seconds;
    facts->hop_latency_seconds = exchange->latency_seconds;
    facts->hop_bytes_per_second = exchange->bytes_per_second;
}

/* Whether steps are replayed, and where not, why: on a device that could. */
static void describe_graph(const trainer *self, run_facts *facts) {
    facts->no_graph = self->settings->no_graph;
    if (!self->device->is->graph_begin)
        return;
    if (self->records)
        COPY(facts->graph, "yes");
    else if (self->settings->no_graph)
        COPY(facts->graph, "no (--no-graph)");
    else
        snprintf(facts->graph, sizeof facts->graph, "no (%s %s needs the host in a step)",
                 self->mode->is->capturable ? "comm" : "mode",
                 self->mode->is->capturable ? self->comm->is->name : self->mode->is->name);
}

static int open_certificate(trainer *self, ls_error *error) {
    certificate_settings settings = {.rank = self->me->rank,
                                     .size = self->me->size,
                                     .control = self->control,
                                     .device = self->device,
                                     .stream = self->stream,
                                     .mode = self->mode,
                                     .feed = &self->train,
                                     .logs = is_certified(self),
                                     .every = self->settings->certificate_every,
                                     .folder = self->settings->results};
    return step_certificate_open(&self->certificate, &settings, error);
}

/* What will be slow, and by which implementation's name. */
static int note_references(const trainer *self, ls_error *error) {
    char plans[8192], *rest = plans;
    network_describe_references(self->network, plans, sizeof plans);
    for (char *line = strtok_r(rest, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        LS_TRY(run_note(self->run, error,
                        "warning  slow plan: %s (a reference implementation: %s has no better one "
                        "here; another version of the library, another processor or precision)",
                        line, self->device->facts.library));
    return LS_OK;
}

int trainer_open_run(trainer *self, ls_error *error) {
    run_facts facts = {0};
    LS_TRY(gather_ranks(self, error));
    describe_job(self, &facts);
    describe_data(self, &facts);
    describe_training(self, &facts);
    describe_exchange(self, &facts);
    describe_graph(self, &facts);
    bool writes = self->me->rank == 0;
    if (writes) {
        LS_TRY(run_open(self->settings->results, &facts, &self->run, error));
        LS_TRY(run_header(self->run, error));
        LS_TRY(trainer_note_examination(self, error));
        LS_TRY(note_references(self, error));
    }
    if (self->settings->verbose && writes) {
        char plans[8192];
        network_describe(self->network, plans, sizeof plans);
        for (char *line = strtok(plans, "\n"); line; line = strtok(NULL, "\n"))
            LS_TRY(run_note(self->run, error, "plan  %s", line));
    }
    LS_TRY(open_certificate(self, error));
    LS_TRY(trainer_open_monitor(self, error));
    if (self->settings->step_log)
        LS_TRY(step_log_open(self->settings->results, writes, &self->step_log, error));
    return LS_OK;
}
