/* Opens what a run needs, in the order in which one thing needs another. */
#include "comm/ablated.h"
#include "launch/lifeline.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For all that is measured before ddp chooses how it exchanges gradients. */
static const double MEASURE_SECONDS = 1;

static int open_data(trainer *self, ls_error *error) {
    const char *folder = self->settings->data;
    LS_TRY(feed_find(&self->train, folder, "train", self->global_batch, error));
    LS_TRY(feed_find(&self->test, folder, "test", self->global_batch, error));
    const dataset_facts *train = &self->train.data->facts, *test = &self->test.data->facts;
    if (train->images < self->me->size)
        return ls_fail(error, LS_BAD_INPUT, "%s: %lld training images are fewer than %d ranks",
                       self->settings->data, (long long)train->images, self->me->size);
    if (train->height != test->height || train->width != test->width ||
        train->channels != test->channels || train->classes != test->classes)
        return ls_fail(error, LS_BAD_INPUT, "%s: the train and test splits have different shapes",
                       self->settings->data);
    return LS_OK;
}

typedef struct bind_context {
    const launch *me;
    const launch_binding *binding;
    ls_error error;
} bind_context;

static void bind_thread(void *context, int thread) {
    bind_context *self = context;
    ls_error error = {0};
    if (launch_bind_thread(self->me, self->binding, thread, &error) != LS_OK) {
#pragma omp critical
        self->error = error;
    }
}

static int open_device(trainer *self, ls_error *error) {
    bind_context context = {.me = self->me, .binding = &self->binding};
    char plan_cache[4096] = "";
    if (self->me->rank == 0 && !self->settings->strict)
        trainer_plan_cache(self, plan_cache, sizeof plan_cache);
    device_request request = {.local_rank = self->me->local_rank,
                              .local_size = self->me->local_size,
                              .bind_thread = bind_thread,
                              .bind_context = &context,
                              .share_gpu = self->settings->share_gpu,
                              .plan_cache = plan_cache,
                              .first_offer = self->settings->strict};
    int gpu_node = device_numa_node(self->settings->device, &request);
    LS_TRY(launch_bind(self->me, (int)self->settings->threads, self->settings->oversubscribe,
                       gpu_node, &self->binding, error));
    request.threads = self->binding.threads;
    LS_TRY(device_open(self->settings->device, &request, &self->device, error));
    if (context.error.code != LS_OK) {
        *error = context.error;
        return error->code;
    }
    size_t total_bytes;
    if (self->device->is->memory)
        LS_TRY(self->device->is->memory(self->device, &self->free_bytes, &total_bytes, error));
    LS_TRY(self->device->is->check_precision(self->device, trainer_precision(self), error));
    LS_TRY(self->device->is->stream_create(self->device, &self->stream, error));
    self->update_stream = self->stream;
    if (!self->device->facts.asynchronous)
        return LS_OK;
    return self->device->is->stream_create(self->device, &self->update_stream, error);
}

static bool progress_busy(const volatile void *progress) {
    return ((const volatile step_progress *)progress)->place != PLACE_IDLE;
}

static void progress_describe(const volatile void *progress, char *out, size_t capacity) {
    static const char *const names[] = {"between steps", "forward", "backward", "the update"};
    const volatile step_progress *at = progress;
    uint32_t place = at->place;
    snprintf(out, capacity, "%s of step %lld",
             place < sizeof names / sizeof names[0] ? names[place] : "?",
             (long long)(at->state.step + at->state.skipped + 1));
}

static int open_ablated(trainer *self, ls_error *error) {
    LS_TRY(comm_ablated_open(self->comm, &self->ablated, error));
    self->comm = self->ablated;
    return LS_OK;
}

static int open_comm(trainer *self, ls_error *error) {
    device *device = self->device;
    if (self->me->size > 1 && device->facts.asynchronous)
        LS_TRY(device->is->host_allocate(device, sizeof *self->progress, (void **)&self->progress,
                                         error));
    comm_settings settings = {.rank = self->me->rank,
                              .size = self->me->size,
                              .host = self->me->host,
                              .device = device,
                              .control = self->control,
                              .deadline_seconds = self->settings->comm_timeout,
                              .progress = self->progress,
                              .progress_bytes = sizeof *self->progress,
                              .progress_busy = progress_busy,
                              .progress_describe = progress_describe,
                              .processing_units = self->binding.processing_units,
                              .processing_unit_count = self->binding.threads};
    LS_TRY(comm_open(self->settings->comm, &settings, &self->comm, error));
    return trainer_ablates(self, "comm") ? open_ablated(self, error) : LS_OK;
}

static int open_control(trainer *self, ls_error *error) {
    comm_settings settings = {
        .rank = self->me->rank, .size = self->me->size, .host = self->me->host};
    return comm_open("auto", &settings, &self->control, error);
}

/* Plans for the batches that rank `of` will see. */
static int prepare_passes(trainer *self, int of, ls_error *error) {
    const feed *feeds[] = {&self->train, &self->test};
    for (int index = 0; index < 2; index++) {
        int64_t sizes[] = {feeds[index]->batches > 1 ? self->global_batch : feeds[index]->last,
                           feeds[index]->last};
        for (int size = 0; size < 2; size++)
            LS_TRY(network_prepare(self->network,
                                   (int)share_of(sizes[size], of, self->me->size).count, error));
    }
    return LS_OK;
}

/* Plans for every size that any lane will have: the same on every rank of every number of ranks,
 * and the largest first, for its plans decide how weights are packed. */
static int prepare_lanes(trainer *self, ls_error *error) {
    const feed *feeds[] = {&self->train, &self->test};
    int64_t lanes = trainer_lanes(self);
    LS_TRY(network_prepare(self->network, (int)((self->global_batch + lanes - 1) / lanes), error));
    for (int index = 0; index < 2; index++) {
        int64_t sizes[] = {feeds[index]->batches > 1 ? self->global_batch : feeds[index]->last,
                           feeds[index]->last};
        for (int size = 0; size < 2; size++)
            for (int64_t more = 1; more >= 0; more--)
                LS_TRY(network_prepare(self->network,
                                       (int)((sizes[size] + more * (lanes - 1)) / lanes), error));
    }
    return LS_OK;
}

/* Preparing may choose algorithms: rank 0 does, for every size that any rank will see (the last
 * rank has the smallest share), and the others take what it chose. */
static int prepare_in_turn(trainer *self, ls_error *error) {
    if (self->settings->strict) {
        LS_TRY(network_split(self->network, (int)trainer_lanes(self) / self->me->size, error));
        if (self->device->is->choices_export && self->me->rank == 0)
            LS_TRY(prepare_lanes(self, error));
        if (self->device->is->choices_export)
            LS_TRY(trainer_share_choices(self, error));
        return prepare_lanes(self, error);
    }
    if (!self->device->is->choices_export)
        return prepare_passes(self, self->me->rank, error);
    if (self->me->rank == 0) {
        LS_TRY(prepare_passes(self, 0, error));
        LS_TRY(prepare_passes(self, self->me->size - 1, error));
    }
    LS_TRY(trainer_share_choices(self, error));
    return prepare_passes(self, self->me->rank, error);
}

static int prepare_network(trainer *self, ls_error *error) {
    const dataset_facts *facts = &self->train.data->facts;
    LS_TRY(model_build(self->settings->model, facts->height, facts->width, facts->channels,
                       facts->classes, &self->graph, error));
    LS_TRY(
        network_create(&self->graph, self->device, trainer_precision(self), &self->network, error));
    LS_TRY(prepare_in_turn(self, error));
    return trainer_fit(self, network_seal(self->network, error), error);
}

static augmentation describe_augmentation(const trainer *self) {
    if (strcmp(self->settings->augment, "none") == 0)
        return (augmentation){0};
    return (augmentation){.seed = (uint64_t)self->settings->seed, .crop_padding = 4, .flip = true};
}

mode_settings trainer_describe_mode(trainer *self) {
    const dataset_facts *facts = &self->train.data->facts;
    /* Where ranks share cores they measure in turns. */
    double turns = self->binding.oversubscribed ? self->me->local_size : 1;
    return (mode_settings){
        .measure_seconds = fmax(MEASURE_SECONDS / turns, MEASURE_SECONDS / 10),
        .rank = self->me->rank,
        .size = self->me->size,
        .comm = self->comm,
        .control = self->control,
        .between_nodes = self->me->node_count > 1,
        .device = self->device,
        .stream = self->stream,
        .graph = &self->graph,
        .network = self->network,
        .bucket_bytes = (size_t)(self->settings->bucket_mb * 1048576.0),
        .gradient_type = mode_gradient_type(self->settings->grad_comm),
        .factors =
            self->settings->strict ? FACTORS_OFF : mode_factor_choice(self->settings->factor_comm),
        .lanes = self->settings->strict ? (int)trainer_lanes(self) : 0,
        .global_batch = self->global_batch,
        .training_batch = self->train.batches > 1 ? self->global_batch : self->train.last,
        .last_training_batch = self->train.last,
        .height = facts->height,
        .width = facts->width,
        .channels = facts->channels,
        .classes = facts->classes,
        /* (x / 255 - 0.5) / 0.5 */
        .scale = 2.0f / 255.0f,
        .shift = -1.0f,
        .augment = describe_augmentation(self)};
}

static int open_feed(trainer *self, feed *feed, bool training, ls_error *error) {
    feed_settings settings = {.device = self->device,
                              .stream = self->stream,
                              .global_batch = self->global_batch,
                              .seed = (uint64_t)self->settings->seed,
                              .training = training,
                              .one_batch = training && trainer_ablates(self, "data"),
                              .place = self->settings->data_place,
                              .processing_units = self->binding.processing_units,
                              .processing_unit_count = self->binding.threads};
    LS_TRY(mode_loader_share(self->settings->mode, &self->mode->settings, &settings.rank,
                             &settings.size, error));
    return feed_open(feed, &settings, error);
}

static int check_strict(const trainer *self, ls_error *error) {
    const train_settings *s = self->settings;
    if (s->strict)
        return mode_check_strict(s->mode, s->grad_comm, s->factor_comm, self->me->size,
                                 trainer_lanes(self), self->global_batch, error);
    if (s->lanes)
        return ls_fail(error, LS_BAD_INPUT,
                       "--lanes %lld belongs to --strict (give both, or leave it out)",
                       (long long)s->lanes);
    return LS_OK;
}

static int check_ablation(const trainer *self, ls_error *error) {
    if (!trainer_ablates(self, "comm") || self->me->size > 1)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "--ablate comm: one rank has no communication to leave out: expected 2 or more "
                   "(mpirun -n 2, srun -n 2)");
}

static int open_balance(trainer *self, ls_error *error) {
    size_t size = (size_t)self->me->size;
    self->rank_epochs = calloc(size, sizeof *self->rank_epochs);
    self->rank_sums = calloc(size, sizeof *self->rank_sums);
    if (!self->rank_epochs || !self->rank_sums)
        return ls_fail(error, LS_FAILED, "out of memory");
    return balance_open(&self->balance, self->control, self->train.batches,
                        self->mode->is->updates(self->mode), error);
}

int trainer_setup(trainer *self, ls_error *error) {
    const train_settings *s = self->settings;
    lifeline_at("set-up", 0, 0);
    LS_TRY(mode_check(s->mode, self->me->size, error));
    LS_TRY(mode_check_exchange(s->mode, s->grad_comm, s->factor_comm, error));
    LS_TRY(check_strict(self, error));
    LS_TRY(optimizer_create(&self->optimizer, s->optimizer, s->learning_rate, s->weight_decay,
                            s->momentum, trainer_precision(self) == PRECISION_FP16, error));
    LS_TRY(open_control(self, error));
    LS_TRY(check_ablation(self, error));
    LS_TRY(open_data(self, error));
    LS_TRY(trainer_check_profile(self, error));
    LS_TRY(trainer_agree(self, error));
    LS_TRY(open_device(self, error));
    LS_TRY(trainer_check_gpus(self, error));
    LS_TRY(trainer_examine(self, error));
    LS_TRY(open_comm(self, error));
    LS_TRY(prepare_network(self, error));
    LS_TRY(trainer_open_profile(self, error));
    mode_settings settings = trainer_describe_mode(self);
    optimizer_describe(&self->optimizer, self->update_stream, &settings);
    LS_TRY(trainer_fit(self, mode_create(s->mode, &settings, &self->mode, error), error));
    if (self->ablated) /* the mode has measured what it chooses by */
        comm_ablate(self->ablated);
    self->records = !s->no_graph && self->device->is->graph_begin && self->mode->is->capturable &&
                    self->comm->is->capturable;
    LS_TRY(optimizer_attach(&self->optimizer, self->mode, self->network, &self->graph, error));
    LS_TRY(open_balance(self, error));
    lifeline_at("set-up", 0, 1); /* the slow parts are places of their own */
    LS_TRY(open_feed(self, &self->train, true, error));
    lifeline_at("set-up", 0, 2);
    return open_feed(self, &self->test, false, error);
}

void trainer_close(trainer *self) {
    step_log_close(self->step_log);
    step_certificate_close(&self->certificate);
    run_close(self->run);
    monitor_close(self->monitor);
    pulse_close(self->pulse);
    trainer_forget_recordings(self);
    feed_close(&self->train);
    feed_close(&self->test);
    mode_destroy(self->mode);
    optimizer_destroy(&self->optimizer);
    network_destroy(self->network);
    if (self->update_stream && self->update_stream != self->stream)
        self->device->is->stream_destroy(self->device, self->update_stream);
    if (self->stream)
        self->device->is->stream_destroy(self->device, self->stream);
    comm_close(self->comm);
    trace_close(self->trace);
    if (self->progress)
        self->device->is->host_release(self->device, self->progress);
    comm_close(self->control);
    device_close(self->device);
    balance_close(&self->balance);
    free(self->rank_epochs);
    free(self->rank_sums);
    free(self->ranks);
    free(self->usage);
}
