/* The list of modes, and the storage they share. */
#include "mode/mode.h"
#include "base/hash.h"
#include "mode/lanes.h"
#include "mode/parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const mode_interface mode_single, mode_dp, mode_ddp;

static const mode_interface *const modes[] = {&mode_single, &mode_dp, &mode_ddp};
const char mode_choices[] = "single|dp|ddp";

static const mode_interface *find(const char *name, ls_error *error) {
    for (size_t index = 0; index < sizeof modes / sizeof modes[0]; index++)
        if (strcmp(modes[index]->name, name) == 0)
            return modes[index];
    ls_fail(error, LS_BAD_INPUT, "--mode: expected one of %s, found '%s'", mode_choices, name);
    return NULL;
}

int mode_check(const char *name, int size, ls_error *error) {
    const mode_interface *chosen = find(name, error);
    if (!chosen)
        return error->code;
    if (chosen->one_rank && size != 1)
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--mode %s runs on one rank, found %d (use srun -n 1, or --mode ddp)", name,
                       size);
    return LS_OK;
}

int mode_check_exchange(const char *name, const char *gradient_type, const char *factors,
                        ls_error *error) {
    const mode_interface *chosen = find(name, error);
    if (!chosen)
        return error->code;
    if (!chosen->exchanges && strcmp(gradient_type, "fp32") != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--grad-comm %s belongs to --mode ddp; found it with --mode %s",
                       gradient_type, name);
    if (!chosen->exchanges && strcmp(factors, "on") == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--factor-comm on belongs to --mode ddp; found it with --mode %s", name);
    return LS_OK;
}

int mode_check_strict(const char *name, const char *gradient_type, const char *factors, int size,
                      int64_t lanes, int64_t global_batch, ls_error *error) {
    if (lanes & (lanes - 1))
        return ls_fail(error, LS_BAD_INPUT, "--lanes %lld: expected a power of two",
                       (long long)lanes);
    if (strcmp(name, "dp") == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--strict belongs to --mode single and ddp; found it with --mode dp");
    if (strcmp(gradient_type, "fp32") != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--strict adds gradients up in fp32: found --grad-comm %s (leave it out)",
                       gradient_type);
    if (strcmp(factors, "on") == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--strict adds the lanes' gradients up in a tree, which factors are not: "
                       "found --factor-comm on (leave it out)");
    if (size & (size - 1))
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--strict: %d ranks are no power of two (start 1, 2, 4, ... of them)", size);
    if (lanes < size)
        return ls_fail(error, LS_BAD_INPUT,
                       "--strict: %d ranks are more than %lld lanes: give --lanes %d or more, to "
                       "all runs that are to be the same",
                       size, (long long)lanes, size);
    if (global_batch < lanes)
        return ls_fail(error, LS_BAD_INPUT,
                       "--strict: a global batch of %lld is less than an image for each of %lld "
                       "lanes (give fewer --lanes, or a larger batch)",
                       (long long)global_batch, (long long)lanes);
    return LS_OK;
}

dtype mode_gradient_type(const char *name) {
    return strcmp(name, "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32;
}

factor_choice mode_factor_choice(const char *name) {
    return strcmp(name, "on") == 0    ? FACTORS_ON
           : strcmp(name, "off") == 0 ? FACTORS_OFF
                                      : FACTORS_AUTO;
}

int mode_loader_share(const char *name, const mode_settings *settings, int *rank, int *size,
                      ls_error *error) {
    const mode_interface *chosen = find(name, error);
    if (!chosen)
        return error->code;
    chosen->loader_share(settings, rank, size);
    return LS_OK;
}

static int allocate(mode *self, size_t bytes, const char *what, void **out, ls_error *error) {
    return self->settings.device->is->allocate(self->settings.device, bytes, what, out, error);
}

/* What is communicated most: memory that the comm serves best. */
static int allocate_communicated(mode *self, size_t bytes, const char *what, float **out,
                                 ls_error *error) {
    comm *comm = self->settings.comm;
    return comm ? comm->is->allocate(comm, bytes, what, (void **)out, error)
                : allocate(self, bytes, what, (void **)out, error);
}

static void release_communicated(mode *self, float *memory) {
    comm *comm = self->settings.comm;
    if (comm && memory)
        comm->is->release(comm, memory);
    else if (memory)
        self->settings.device->is->release(self->settings.device, memory);
}

static int create_events(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    if (!s->settled || s->update_stream == s->stream)
        return LS_OK;
    LS_TRY(s->device->is->event_create(s->device, &self->settled_event, error));
    return s->device->is->event_create(s->device, &self->updated_event, error);
}

static int allocate_storage(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    size_t flat = s->graph->parameter_count * sizeof(float);
    size_t batch = (size_t)s->global_batch, lanes = (size_t)self->lane_count;
    LS_TRY(allocate_communicated(self, flat, "parameters", &self->parameters, error));
    LS_TRY(allocate_communicated(self, mode_gradient_bytes(self), "gradients", &self->gradients,
                                 error));
    for (int moment = 0; moment < s->moments && self->is->updates(self); moment++)
        LS_TRY(allocate(self, flat, "optimizer state", (void **)&self->moments[moment], error));
    LS_TRY(allocate(self, lanes * sizeof *self->totals, "totals", (void **)&self->totals, error));
    LS_TRY(allocate(self, NETWORK_MAX_INPUTS * batch * sizeof(int32_t), "labels",
                    (void **)&self->labels, error));
    if (s->device->facts.host_addressable)
        return LS_OK;
    size_t image = (size_t)s->height * (size_t)s->width * (size_t)s->channels;
    LS_TRY(
        allocate(self, batch * image, "a batch of images", (void **)&self->staged_images, error));
    LS_TRY(allocate(self, batch * sizeof(int32_t), "labels", (void **)&self->staged_labels, error));
    return allocate(self, batch * sizeof(int64_t), "sample ids", (void **)&self->staged_ids, error);
}

int mode_create(const char *name, const mode_settings *settings, mode **out, ls_error *error) {
    const mode_interface *chosen = find(name, error);
    if (!chosen)
        return error->code;
    mode *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->is = chosen;
    self->settings = *settings;
    self->hooks.context = self;
    self->lane_count = settings->lanes ? settings->lanes / settings->size : 1;
    self->lane_stride = (settings->graph->parameter_count + 63) / 64 * 64; /* whole cache lines */
    int status = step_clock_create(settings->device, settings->stream, &self->clock, error);
    if (status == LS_OK)
        status = create_events(self, error);
    if (status == LS_OK)
        status = mode_ahead_open(self, error);
    if (status == LS_OK)
        status = allocate_storage(self, error);
    if (status == LS_OK)
        status = chosen->setup(self, error);
    if (status == LS_OK && settings->lanes)
        status = lanes_create(self, &self->lanes, error);
    if (status != LS_OK) {
        mode_destroy(self);
        return status;
    }
    *out = self;
    return LS_OK;
}

void mode_plan_id(const mode *self, char out[17]) {
    const mode_exchange *exchange = &self->exchange;
    network_plan_id(self->settings.network, out);
    uint64_t hash = hash_bytes(HASH_START, out, strlen(out));
    if (self->lanes) {
        hash = hash_bytes(hash, &self->settings.lanes, sizeof self->settings.lanes);
        snprintf(out, 17, "%016" PRIx64, hash);
        return;
    }
    if (!exchange->used)
        return;
    hash = hash_bytes(hash, &exchange->bucket_most, sizeof exchange->bucket_most);
    hash = hash_bytes(hash, &exchange->bucket_worth, sizeof exchange->bucket_worth);
    for (int unit = 0; unit < self->settings.graph->unit_count; unit++)
        hash = hash_bytes(hash, &exchange->units[unit].factors, sizeof(bool));
    snprintf(out, 17, "%016" PRIx64, hash);
}

static pass *own_pass(const mode *self, const mode_batch *batch) {
    return network_pass(self->settings.network, mode_local_count(self, batch->global_count));
}

int mode_begin(mode *self, const mode_batch *batch, ls_error *error) {
    return self->lanes ? lanes_begin(self->lanes, batch, error)
                       : self->is->begin(self, batch, own_pass(self, batch), error);
}

int mode_forward(mode *self, const mode_batch *batch, ls_error *error) {
    if (self->lanes)
        return lanes_forward(self->lanes, error);
    return network_forward(self->settings.network, own_pass(self, batch), self->settings.stream,
                           &self->hooks, error);
}

int mode_loss(mode *self, const mode_batch *batch, ls_error *error) {
    return self->lanes ? lanes_loss(self->lanes, batch, error)
                       : self->is->loss(self, batch, own_pass(self, batch), error);
}

int mode_backward(mode *self, const mode_batch *batch, ls_error *error) {
    if (self->lanes)
        return lanes_backward(self->lanes, error);
    return network_backward(self->settings.network, own_pass(self, batch), self->settings.stream,
                            &self->hooks, error);
}

void mode_destroy(mode *self) {
    if (!self)
        return;
    if (self->state)
        self->is->teardown(self);
    lanes_destroy(self->lanes);
    void *memory[] = {self->moments[0],    self->moments[1],    self->totals,    self->labels,
                      self->staged_images, self->staged_labels, self->staged_ids};
    for (size_t index = 0; index < sizeof memory / sizeof memory[0]; index++)
        if (memory[index])
            self->settings.device->is->release(self->settings.device, memory[index]);
    release_communicated(self, self->parameters);
    release_communicated(self, self->gradients);
    mode_ahead_close(self);
    device_event *events[] = {self->settled_event, self->updated_event};
    for (size_t index = 0; index < sizeof events / sizeof events[0]; index++)
        if (events[index])
            self->settings.device->is->event_destroy(self->settings.device, events[index]);
    step_clock_destroy(self->clock);
    free(self);
}
