/* Opens what a run needs, in the order in which one thing needs another. */
#include "launch/lifeline.h"
#include "train/trainer.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 4 };

static int open_split(trainer *self, const char *name, split *out, ls_error *error) {
    LS_TRY(dataset_open(self->settings->data, name, &out->data, error));
    int64_t images = out->data->facts.images;
    out->batches = (images + self->global_batch - 1) / self->global_batch;
    out->last = images - (out->batches - 1) * self->global_batch;
    return LS_OK;
}

static int open_data(trainer *self, ls_error *error) {
    LS_TRY(open_split(self, "train", &self->train, error));
    LS_TRY(open_split(self, "test", &self->test, error));
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
    LS_TRY(launch_bind(self->me, (int)self->settings->threads, self->settings->oversubscribe,
                       &self->binding, error));
    bind_context context = {.me = self->me, .binding = &self->binding};
    device_request request = {.local_rank = self->me->local_rank,
                              .local_size = self->me->local_size,
                              .threads = self->binding.threads,
                              .bind_thread = bind_thread,
                              .bind_context = &context};
    LS_TRY(device_open(self->settings->device, &request, &self->device, error));
    if (context.error.code != LS_OK) {
        *error = context.error;
        return error->code;
    }
    return self->device->is->stream_create(self->device, &self->stream, error);
}

/* A pass for each batch size that this rank will see. */
static int prepare_network(trainer *self, ls_error *error) {
    const dataset_facts *facts = &self->train.data->facts;
    LS_TRY(model_build(self->settings->model, facts->height, facts->width, facts->channels,
                       facts->classes, &self->graph, error));
    LS_TRY(network_create(&self->graph, self->device, DTYPE_F32, &self->network, error));
    const split *splits[] = {&self->train, &self->test};
    for (int index = 0; index < 2; index++) {
        int64_t sizes[] = {splits[index]->batches > 1 ? self->global_batch : splits[index]->last,
                           splits[index]->last};
        for (int size = 0; size < 2; size++)
            LS_TRY(network_prepare(self->network,
                                   (int)share_of(sizes[size], self->me->rank, self->me->size).count,
                                   error));
    }
    return network_seal(self->network, error);
}

static mode_settings describe_mode(trainer *self) {
    const dataset_facts *facts = &self->train.data->facts;
    return (mode_settings){.rank = self->me->rank,
                           .size = self->me->size,
                           .comm = self->comm,
                           .device = self->device,
                           .stream = self->stream,
                           .graph = &self->graph,
                           .network = self->network,
                           .moments = optimizer_moments(&self->optimizer),
                           .bucket_bytes = (size_t)(self->settings->bucket_mb * 1048576.0),
                           .global_batch = self->global_batch,
                           .height = facts->height,
                           .width = facts->width,
                           .channels = facts->channels,
                           .classes = facts->classes,
                           /* (x / 255 - 0.5) / 0.5 */
                           .scale = 2.0f / 255.0f,
                           .shift = -1.0f};
}

static int open_loader(trainer *self, split *split, bool training, ls_error *error) {
    loader_settings settings = {.global_batch = self->global_batch,
                                .seed = (uint64_t)self->settings->seed,
                                .shuffled = training,
                                .slots = SLOTS,
                                .processing_units = self->binding.processing_units,
                                .processing_unit_count = self->binding.threads};
    LS_TRY(mode_loader_share(self->settings->mode, &self->mode->settings, &settings.rank,
                             &settings.size, error));
    if (settings.size == 0)
        return LS_OK;
    LS_TRY(dataset_load(split->data, error));
    return loader_create(split->data, self->device, &settings, &split->loader, error);
}

int trainer_setup(trainer *self, ls_error *error) {
    const train_settings *s = self->settings;
    lifeline_at("set-up", 0, 0);
    LS_TRY(mode_check(s->mode, self->me->size, error));
    LS_TRY(optimizer_create(&self->optimizer, s->optimizer, s->learning_rate, s->weight_decay,
                            s->momentum, error));
    LS_TRY(comm_open("auto", self->me->rank, self->me->size, &self->control, error));
    LS_TRY(open_data(self, error));
    LS_TRY(trainer_agree(self, error));
    LS_TRY(open_device(self, error));
    LS_TRY(comm_open("auto", self->me->rank, self->me->size, &self->comm, error));
    LS_TRY(prepare_network(self, error));
    mode_settings settings = describe_mode(self);
    LS_TRY(mode_create(s->mode, &settings, &self->mode, error));
    LS_TRY(optimizer_attach(&self->optimizer, self->network, &self->graph, error));
    lifeline_at("set-up", 0, 1); /* the slow parts are places of their own */
    LS_TRY(open_loader(self, &self->train, true, error));
    lifeline_at("set-up", 0, 2);
    return open_loader(self, &self->test, false, error);
}

void trainer_close(trainer *self) {
    step_log_close(self->step_log);
    run_close(self->run);
    loader_close(self->train.loader);
    loader_close(self->test.loader);
    mode_destroy(self->mode);
    optimizer_destroy(&self->optimizer);
    network_destroy(self->network);
    if (self->stream)
        self->device->is->stream_destroy(self->device, self->stream);
    comm_close(self->comm);
    comm_close(self->control);
    device_close(self->device);
    dataset_close(self->train.data);
    dataset_close(self->test.data);
    free(self->ranks);
    free(self->usage);
}
