/* The header: what this run is, from every rank. */
#include "train/header.h"
#include "base/clock.h"
#include "base/text_buffer.h"
#include "data/dataset.h"
#include "launch/environment.h"
#include "launch/versions.h"
#include "train/examine.h"
#include "train/memory.h"
#include "train/plan_choices.h"
#include "train/trainer.h"
#include "train/warmup.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Cut to the room there is. */
#define COPY(to, from) snprintf(to, sizeof(to), "%.*s", (int)sizeof(to) - 1, from)

/* Texts of the facts that are made here; the others are the settings'. */
typedef enum {
    LIBRARIES,
    COMMUNICATION_NOTE,
    GRAPH,
    ENVIRONMENT,
    MESSAGE_ENVIRONMENT,
    TAKEN_OUT,
    FACTOR_LAYERS,
    FACTOR_NOTE,
    SCHEDULE,
    CLIPPING,
    AUGMENTATION,
    TEXTS
} fact_text;
typedef struct fact_texts {
    text_buffer list[TEXTS];
    char warmup_rule[64], cpu_energy[300];
} fact_texts;

static void now_as_text(char *out, size_t capacity) {
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(out, capacity, "%Y-%m-%dT%H:%M:%S%z", &local);
}

static void describe_data(const trainer *self, run_facts *facts) {
    facts->data_folder = self->settings->input.folder;
    COPY(facts->dataset_id, self->input.train.data->facts.id);
    facts->train_images_per_epoch = self->input.train.data->facts.samples;
    facts->test_images = self->input.test.data->facts.samples;
}

static const char *describe_environment(text_buffer *out, unsigned kinds) {
    environment_add(out, kinds);
    return out->bytes;
}

static void describe_job(const trainer *self, run_facts *facts, fact_texts *texts) {
    char libraries[256];
    COPY(facts->lockstep_version, LOCKSTEP_VERSION);
    snprintf(facts->program_hash, sizeof facts->program_hash, "%016" PRIx64, launch_program_hash());
    facts->command_line = self->command_line;
    now_as_text(facts->started, sizeof facts->started);
    facts->launcher = self->me->launcher;
    facts->slurm_job_id = self->me->slurm_job_id;
    facts->ranks = self->me->size;
    facts->nodes = self->me->node_count;
    facts->rank_list = self->ranks.facts;
    facts->oversubscribed = self->engine.binding.oversubscribed;
    monitor_packages(texts->cpu_energy, sizeof texts->cpu_energy);
    facts->cpu_energy = texts->cpu_energy;
    facts->environment = describe_environment(
        &texts->list[ENVIRONMENT], 1u << ENVIRONMENT_ARITHMETIC | 1u << ENVIRONMENT_TIMES);
    facts->communication_environment =
        describe_environment(&texts->list[MESSAGE_ENVIRONMENT], 1u << ENVIRONMENT_COMMUNICATION);
    facts->environment_taken_out =
        describe_environment(&texts->list[TAKEN_OUT], 1u << ENVIRONMENT_TAKEN_OUT);
    launch_describe_versions(self->me, libraries, sizeof libraries);
    text_add(&texts->list[LIBRARIES], "%s%sHDF5 %s, %s", libraries, libraries[0] ? ", " : "",
             dataset_hdf5_version(), self->engine.device->facts.library);
    facts->libraries = texts->list[LIBRARIES].bytes;
}

/* An ablated run is no training, and its ranks may differ: there is nothing to certify. */
static bool is_certified(const trainer *self) {
    return strcmp(self->settings->certificate, "on") == 0 && trainer_ablates(self, "none");
}

static void describe_training(const trainer *self, run_facts *facts, fact_texts *texts) {
    const train_settings *s = self->settings;
    facts->mode = self->learner.mode->is->name;
    facts->model = s->model.model;
    facts->init = s->weights.init ? s->weights.init : "";
    facts->device = self->engine.device->is->name;
    facts->device_library = self->engine.device->facts.library;
    facts->precision = s->model.precision;
    facts->recompute = s->model.recompute;
    facts->communication = self->comm->is->name;
    text_add(&texts->list[COMMUNICATION_NOTE], "%s",
             self->grouped ? self->grouped->note : self->comm->note);
    facts->communication_note = texts->list[COMMUNICATION_NOTE].bytes;
    input_describe_augment(&self->input, &s->input, &texts->list[AUGMENTATION]);
    facts->augment = texts->list[AUGMENTATION].bytes;
    facts->longer_side = input_facts(&self->input)->longer_side;
    facts->loader_search = facts->longer_side > 0 && s->input.loader_threads <= 0;
    trainer_describe_warmup(texts->warmup_rule, sizeof texts->warmup_rule);
    facts->warmup_rule = texts->warmup_rule;
    facts->optimizer = s->optimizer.rule;
    schedule_describe(&s->schedule, &texts->list[SCHEDULE]);
    facts->schedule = texts->list[SCHEDULE].bytes;
    facts->scaling = self->scaling;
    facts->parameters = (int64_t)self->graph.parameter_count;
    facts->global_batch = self->global_batch;
    facts->batch_per_rank = self->global_batch / self->me->size;
    facts->batch_choice = self->batch.choice;
    facts->batch_note = self->batch.note;
    facts->placement_note = self->placement.note;
    facts->epochs = (int)s->epochs;
    facts->validate_every = s->validate_every > 1 ? (int)s->validate_every : 0;
    facts->seed = s->seed;
    facts->learning_rate = s->optimizer.learning_rate;
    facts->momentum = optimizer_momentum(&self->learner.optimizer);
    facts->weight_decay = s->optimizer.weight_decay;
    optimizer_describe_clipping(&self->learner.optimizer, &texts->list[CLIPPING]);
    facts->clip = texts->list[CLIPPING].bytes;
    facts->ema = s->optimizer.average;
    facts->label_smoothing = s->label_smoothing;
    facts->dropout = s->model.drops.dropout;
    facts->drop_path = s->model.drops.path;
    facts->decay = optimizer_decays_all(&self->learner.optimizer) ? "" : s->optimizer.decay;
    facts->ablate = trainer_ablates(self, "none") ? "" : s->ablate;
    facts->profile_steps = (int)s->profile;
    facts->certificate_version = is_certified(self) ? CERTIFICATE_VERSION : 0;
    facts->certificate_every = s->certificate_every;
    facts->tensorboard = strcmp(s->tensorboard, "on") == 0;
}

/* "fc1" as factors, or not, and the times that were weighed. */
static void describe_unit(const unit_exchange *unit, const char *name, fact_texts *texts) {
    text_buffer *layers = &texts->list[FACTOR_LAYERS], *note = &texts->list[FACTOR_NOTE];
    const char *before = note->length ? ", " : "";
    if (unit->factors)
        text_add(layers, "%s%s", layers->length ? ";" : "", name);
    if (!isnan(unit->reduce_seconds))
        text_add(note, "%s%s%s (%.3g ms as factors, %.3g ms all-reduced, give or take %.2g)",
                 before, unit->factors ? "" : "not ", name, 1e3 * unit->factor_seconds,
                 1e3 * unit->reduce_seconds, 1e3 * unit->spread_seconds);
    else if (unit->outgrown || unit->unmeasured)
        text_add(note, "%snot %s (%s)", before, name,
                 unit->outgrown ? "the rows of all ranks are more than its gradient"
                                : "measuring it would take too long");
    else if (unit->factors)
        text_add(note, "%s%s", before, name);
}

static void describe_exchange(const trainer *self, run_facts *facts, fact_texts *texts) {
    const mode_exchange *exchange = &self->learner.mode->exchange;
    facts->grad_comm = self->settings->mode.grad_comm;
    facts->lanes = self->learner.mode->settings.lanes;
    facts->strict = facts->lanes > 0;
    facts->sync_batchnorm = self->settings->mode.sync_batchnorm;
    facts->shard_ranks = self->grouped ? self->groups.size : 0;
    int parts = self->learner.mode->settings.micro_batches;
    facts->accumulate = parts > 1 ? parts : 0;
    facts->hop_latency_seconds = facts->hop_bytes_per_second = NAN;
    if (!exchange->used)
        return;
    facts->factor_comm =
        !facts->strict && !facts->accumulate ? self->settings->mode.factor_comm : "off";
    for (int unit = 0; unit < self->graph.unit_count; unit++)
        describe_unit(&exchange->units[unit], graph_unit_layer(&self->graph, unit)->name, texts);
    facts->factor_layers = texts->list[FACTOR_LAYERS].bytes;
    facts->factor_note = texts->list[FACTOR_NOTE].bytes;
    facts->bucket_choice = self->settings->mode.bucket_mb == 0 ? "auto" : "given";
    facts->update_shared = exchange->update_shared;
    facts->buckets = exchange->bucket_count;
    facts->largest_bucket_bytes = (double)exchange->largest_bucket_bytes;
    facts->first_bucket_bytes = (double)exchange->first_bucket_bytes;
    facts->exchange_seconds = exchange->measured_seconds;
    facts->hop_latency_seconds = exchange->latency_seconds;
    facts->hop_bytes_per_second = exchange->bytes_per_second;
}

/* Whether steps are replayed, and where not, why: on a device that could. */
static void describe_graph(const trainer *self, run_facts *facts, fact_texts *texts) {
    facts->graph_requested = !self->settings->no_graph;
    facts->graph_steps = self->recordings.steps > 1 ? self->recordings.steps : 0;
    if (!self->engine.device->is->graph_begin)
        return;
    if (self->recordings.records)
        text_add(&texts->list[GRAPH], "yes");
    else if (self->settings->no_graph)
        text_add(&texts->list[GRAPH], "no (--no-graph)");
    else
        text_add(&texts->list[GRAPH], "no (%s %s needs the host in a step)",
                 self->learner.mode->is->capturable ? "comm" : "mode",
                 self->learner.mode->is->capturable ? self->comm->is->name
                                                    : self->learner.mode->is->name);
    facts->graph = texts->list[GRAPH].bytes;
}

static int open_certificate(trainer *self, ls_error *error) {
    certificate_settings settings = {.rank = self->me->rank,
                                     .size = self->me->size,
                                     .copies = self->groups.of,
                                     .control = self->control,
                                     .device = self->engine.device,
                                     .stream = self->engine.stream,
                                     .store = self->learner.mode->store,
                                     .feed = &self->input.train,
                                     .logs = is_certified(self),
                                     .every = self->settings->certificate_every,
                                     .folder = self->settings->results};
    return step_certificate_open(&self->certificate, &settings, error);
}

/* What will be slow, and by which implementation's name. */
static int note_references(const trainer *self, ls_error *error) {
    text_buffer plans = {0};
    network_describe_references(self->learner.network, &plans);
    int status = text_buffer_check(&plans, error);
    for (char *rest = plans.bytes, *line = rest ? strtok_r(rest, "\n", &rest) : NULL;
         line && status == LS_OK; line = strtok_r(NULL, "\n", &rest))
        status =
            run_note(self->run, error,
                     "warning  slow plan: %s (a reference implementation: %s has no better one "
                     "here; another version of the library, another processor or precision)",
                     line, self->engine.device->facts.library);
    text_free(&plans);
    return status;
}

static int note_plans(const trainer *self, ls_error *error) {
    text_buffer plans = {0};
    network_describe(self->learner.network, &plans);
    int status = text_buffer_check(&plans, error);
    for (char *rest = plans.bytes, *line = rest ? strtok_r(rest, "\n", &rest) : NULL;
         line && status == LS_OK; line = strtok_r(NULL, "\n", &rest))
        status = run_note(self->run, error, "plan  %s", line);
    text_free(&plans);
    return status;
}

static int open_folder(trainer *self, const run_facts *facts, ls_error *error) {
    resumed *resumed = &self->resumed;
    const record *state = &resumed->from.manifest.state;
    run_past past = {.epochs = resumed->epochs, .epoch_count = resumed->epoch_count};
    if (!resumed->on)
        return run_open(self->settings->results, facts, NULL, &self->run, error);
    LS_TRY(record_get_text(state, resumed->where, "log", &past.log, error));
    LS_TRY(record_get_text(state, resumed->where, "ranks_csv", &past.ranks, error));
    if (resumed->other_ranks)
        past.ranks = "";
    return run_open(self->settings->results, facts, &past, &self->run, error);
}

/* Rank 0's, of a run that goes on. */
static int get_logged(const trainer *self, logged_steps *out, ls_error *error) {
    const record *state = &self->resumed.from.manifest.state;
    const int64_t *epochs;
    const double *losses;
    int64_t count;
    *out = (logged_steps){0};
    if (!self->resumed.on)
        return LS_OK;
    LS_TRY(record_get_integers(state, self->resumed.where, "step_epochs", &epochs, &count, error));
    LS_TRY(
        record_get_reals(state, self->resumed.where, "step_losses", &losses, &out->count, error));
    if (count != out->count)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: step_losses: expected %" PRId64 " values, found %" PRId64,
                       self->resumed.where, count, out->count);
    out->epochs = (int64_t *)epochs;
    out->losses = (double *)losses;
    return LS_OK;
}

static int open_step_log(trainer *self, bool writes, ls_error *error) {
    logged_steps past;
    LS_TRY(get_logged(self, &past, error));
    return step_log_open(self->settings->results, writes, &past, &self->step_log, error);
}

/* Lines that were due before there was a log. */
static int note_resumed(trainer *self, ls_error *error) {
    text_buffer *notes = &self->resumed.notes;
    int status = LS_OK;
    for (char *rest = notes->bytes, *line = rest ? strtok_r(rest, "\n", &rest) : NULL;
         line && status == LS_OK; line = strtok_r(NULL, "\n", &rest))
        status = run_note(self->run, error, "%s", line);
    return status;
}

/* Rank 0 writes them; its copy stays with the run. */
static int open_facts(trainer *self, ls_error *error) {
    run_facts facts = {0};
    fact_texts texts = {0};
    describe_job(self, &facts, &texts);
    describe_data(self, &facts);
    describe_training(self, &facts, &texts);
    describe_exchange(self, &facts, &texts);
    describe_graph(self, &facts, &texts);
    int status = LS_OK;
    for (int text = 0; text < TEXTS && status == LS_OK; text++)
        status = text_buffer_check(&texts.list[text], error);
    if (status == LS_OK)
        status = open_folder(self, &facts, error);
    if (status == LS_OK)
        status = ledger_open(self, &facts, error);
    for (int text = 0; text < TEXTS; text++)
        text_free(&texts.list[text]);
    return status;
}

int trainer_open_run(trainer *self, ls_error *error) {
    bool writes = self->me->rank == 0;
    LS_TRY(trainer_gather_memory(self, error));
    if (writes) {
        LS_TRY(open_facts(self, error));
        LS_TRY(run_header(self->run, error));
        LS_TRY(trainer_note_examination(self, error));
        LS_TRY(note_resumed(self, error));
        LS_TRY(note_references(self, error));
    }
    if (self->settings->verbose && writes) {
        LS_TRY(note_plans(self, error));
        LS_TRY(trainer_note_memory(self, error));
    }
    LS_TRY(open_certificate(self, error));
    LS_TRY(trainer_open_monitor(self, error));
    if (self->settings->step_log)
        LS_TRY(open_step_log(self, writes, error));
    return LS_OK;
}
