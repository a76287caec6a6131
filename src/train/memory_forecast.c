#include "train/memory_forecast.h"

#include "comm/groups.h"

#include <unistd.h>

typedef struct forecast_parts {
    const memory_question *of;
    int64_t global_batch;
    device *device;
    graph graph;
    network *network;
    optimizer optimizer;
} forecast_parts;

static int64_t global_batch_of(const memory_question *of) {
    const train_settings *s = of->settings;
    int64_t each = s->batch_per_rank > 0 ? s->batch_per_rank : 64;
    return s->global_batch > 0 ? s->global_batch : each * of->ranks;
}

static int open_device(forecast_parts *self, ls_error *error) {
    const train_settings *s = self->of->settings;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int threads = s->device.threads > 0 ? (int)s->device.threads
                  : processors > 0      ? (int)processors
                                        : 1;
    device_request request = {.local_size = 1, .threads = threads, .plan_cache = ""};
    LS_TRY(device_open(s->device.device, &request, &self->device, error));
    return self->device->is->check_precision(self->device, precision_of(s->model.precision), error);
}

static int group_size(const memory_question *of) {
    int each = of->ranks_per_node > 0 ? of->ranks_per_node : of->ranks;
    return comm_groups_size(of->settings->mode.within, of->ranks, each);
}

static mode_settings describe(const forecast_parts *self) {
    const train_settings *s = self->of->settings;
    mode_settings out = {.size = self->of->ranks,
                         .device = self->device,
                         .graph = &self->graph,
                         .network = self->network,
                         .forgets_gradients = true,
                         .device_memory = (size_t)s->device.memory_mb * 1000000,
                         .global_batch = self->global_batch,
                         .training_batch = self->global_batch,
                         .group = {.size = group_size(self->of)},
                         .last_training_batch = self->global_batch};
    mode_take_options(&s->mode, s->mode.strict, &out);
    return out;
}

/* The largest share that any rank, or lane, has. */
static int prepare(forecast_parts *self, ls_error *error) {
    const train_settings *s = self->of->settings;
    mode_settings last = {.rank = self->of->ranks - 1,
                          .size = self->of->ranks,
                          .micro_batches = (int)s->mode.accumulate};
    int count;
    if (s->mode.strict) {
        int64_t lanes = mode_options_lanes(&s->mode), parts = s->mode.accumulate;
        LS_TRY(network_split(self->network, (int)lanes / self->of->ranks, error));
        int64_t lane = (self->global_batch + lanes - 1) / lanes;
        return network_prepare(self->network, (int)((lane + parts - 1) / parts), error);
    }
    LS_TRY(mode_micro_count(s->mode.mode, &last, self->global_batch, last.micro_batches - 1, &count,
                            error));
    return network_prepare(self->network, count, error);
}

static int make_network(forecast_parts *self, ls_error *error) {
    const train_settings *s = self->of->settings;
    LS_TRY(model_build_dropping(s->model.model, &s->model.drops, self->of->side, self->of->side, 3,
                                self->of->classes, &self->graph, error));
    LS_TRY(network_create(&self->graph, self->device, precision_of(s->model.precision),
                          &self->network, error));
    network_recompute(self->network, recompute_of(s->model.recompute));
    return prepare(self, error);
}

static int ask(forecast_parts *self, memory_plan *out, ls_error *error) {
    const train_settings *s = self->of->settings;
    mode_settings settings = describe(self);
    int64_t most = (self->global_batch + settings.size - 1) / settings.size;
    size_t sample = (size_t)self->of->side * (size_t)self->of->side * 3;
    *out = (memory_plan){.program = memory_resident_bytes()};
    optimizer_describe(&self->optimizer, self->device, NULL, &settings);
    out->loader = feed_ahead_bytes(sample, (size_t)most, self->device->facts.host_addressable);
    return mode_plan_memory(s->mode.mode, &settings, out->kinds, error);
}

static int forecast(forecast_parts *self, memory_plan *out, bool *host, ls_error *error) {
    const train_settings *s = self->of->settings;
    LS_TRY(mode_check_options(&s->mode, self->of->ranks, self->global_batch, error));
    if (group_size(self->of) == 0)
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--shard-within %s: %d ranks, %d a node, are no groups of as many each",
                       s->mode.within, self->of->ranks, self->of->ranks_per_node);
    LS_TRY(optimizer_create(&self->optimizer, &s->optimizer,
                            precision_of(s->model.precision) == PRECISION_FP16, error));
    LS_TRY(open_device(self, error));
    *host = self->device->facts.host_addressable;
    LS_TRY(make_network(self, error));
    return ask(self, out, error);
}

int train_forecast_memory(const memory_question *question, memory_plan *out, bool *host,
                          ls_error *error) {
    forecast_parts self = {.of = question, .global_batch = global_batch_of(question)};
    int status = forecast(&self, out, host, error);
    network_destroy(self.network);
    graph_release(&self.graph);
    device_close(self.device);
    return status;
}
