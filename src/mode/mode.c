/* The list of modes, and the storage they share. */
#include "mode/mode.h"
#include "base/hash.h"
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
static int allocate_gradients(mode *self, size_t bytes, ls_error *error) {
    comm *comm = self->settings.comm;
    void **out = (void **)&self->gradients;
    return comm ? comm->is->allocate(comm, bytes, "gradients", out, error)
                : allocate(self, bytes, "gradients", out, error);
}

static void release_gradients(mode *self) {
    comm *comm = self->settings.comm;
    if (comm && self->gradients)
        comm->is->release(comm, self->gradients);
    else if (self->gradients)
        self->settings.device->is->release(self->settings.device, self->gradients);
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
    size_t batch = (size_t)s->global_batch;
    LS_TRY(allocate(self, flat, "parameters", (void **)&self->parameters, error));
    LS_TRY(allocate_gradients(self, flat, error));
    for (int moment = 0; moment < s->moments && self->is->updates(self); moment++)
        LS_TRY(allocate(self, flat, "optimizer state", (void **)&self->moments[moment], error));
    LS_TRY(allocate(self, sizeof *self->totals, "totals", (void **)&self->totals, error));
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
    int status = step_clock_create(settings->device, settings->stream, &self->clock, error);
    if (status == LS_OK)
        status = create_events(self, error);
    if (status == LS_OK)
        status = mode_ahead_open(self, error);
    if (status == LS_OK)
        status = allocate_storage(self, error);
    if (status == LS_OK)
        status = chosen->setup(self, error);
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
    if (!exchange->used)
        return;
    uint64_t hash = hash_bytes(HASH_START, out, strlen(out));
    hash = hash_bytes(hash, &exchange->bucket_most, sizeof exchange->bucket_most);
    hash = hash_bytes(hash, &exchange->bucket_worth, sizeof exchange->bucket_worth);
    for (int unit = 0; unit < self->settings.graph->unit_count; unit++)
        hash = hash_bytes(hash, &exchange->units[unit].factors, sizeof(bool));
    snprintf(out, 17, "%016" PRIx64, hash);
}

void mode_destroy(mode *self) {
    if (!self)
        return;
    if (self->state)
        self->is->teardown(self);
    void *memory[] = {self->parameters, self->moments[0],    self->moments[1],    self->totals,
                      self->labels,     self->staged_images, self->staged_labels, self->staged_ids};
    for (size_t index = 0; index < sizeof memory / sizeof memory[0]; index++)
        if (memory[index])
            self->settings.device->is->release(self->settings.device, memory[index]);
    release_gradients(self);
    mode_ahead_close(self);
    device_event *events[] = {self->settled_event, self->updated_event};
    for (size_t index = 0; index < sizeof events / sizeof events[0]; index++)
        if (events[index])
            self->settings.device->is->event_destroy(self->settings.device, events[index]);
    step_clock_destroy(self->clock);
    free(self);
}
