#include "train/memory.h"

#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

size_t memory_resident_bytes(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%*s %lu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static bool is_host(const trainer *self) {
    return self->engine.device->facts.host_addressable;
}

static int plan_split(trainer *self, const mode_settings *mode, bool training, ls_error *error) {
    const train_settings *s = self->settings;
    input_choices choices = s->input;
    feed_settings settings = {.device = self->engine.device, .global_batch = self->global_batch};
    feed_bytes bytes;
    choices.one_batch = trainer_ablates(self, "data");
    LS_TRY(mode_loader_share(s->mode.mode, mode, &settings.rank, &settings.size, error));
    LS_TRY(input_plan_split(&self->input, &choices, &settings, training, &bytes, error));
    self->memory.loader.host += bytes.host;
    self->memory.loader.device += bytes.device;
    return LS_OK;
}

/* A checkpoint is written from a copy of what this rank writes: of what every rank holds its part,
 * and all of what is its own. Whose moments are everyone's, a rank that updates none tells. */
static int plan_checkpoint(trainer *self, const mode_settings *settings, ls_error *error) {
    memory_plan *plan = &self->memory;
    mode_settings other = *settings;
    size_t ranks = (size_t)settings->size, mine[MEMORY_KINDS], theirs[MEMORY_KINDS];
    size_t copies = ranks / (size_t)mode_group(settings).size;
    if (!self->saver.on)
        return LS_OK;
    other.device_memory = 0; /* state in a file is saved, too */
    LS_TRY(mode_plan_memory(self->settings->mode.mode, &other, mine, error));
    other.rank = settings->rank == 0 ? settings->size - 1 : 0;
    LS_TRY(mode_plan_memory(self->settings->mode.mode, &other, theirs, error));
    size_t whole = 0, own = mine[MEMORY_OPTIMIZER];
    for (int moment = 0; settings->moments && settings->moments[moment]; moment++)
        whole += settings->graph->parameter_count * sizeof(float);
    bool shared = own >= whole && theirs[MEMORY_OPTIMIZER] == own;
    bool parts = mine[MEMORY_PARAMETERS] < settings->graph->parameter_count * sizeof(float);
    plan->checkpoint =
        mine[MEMORY_PARAMETERS] / (parts ? copies : ranks) + own / (shared ? ranks : copies);
    plan->device_copies = is_host(self) ? 0 : plan->checkpoint;
    return LS_OK;
}

size_t memory_of_mode(const trainer *self) {
    size_t given = (size_t)self->settings->device.memory_mb * 1000000;
    size_t bound = self->placement.bytes > 0 ? self->placement.bytes : given;
    size_t beside = self->memory.device_copies + self->memory.loader.device;
    if (self->placement.least)
        return 1;
    return bound > beside ? bound - beside : bound > 0;
}

int trainer_plan_memory(trainer *self, const mode_settings *settings, ls_error *error) {
    memory_plan *plan = &self->memory;
    mode_settings bounded = *settings;
    *plan = (memory_plan){.program = memory_resident_bytes()};
    if (!self->evaluates)
        LS_TRY(plan_split(self, settings, true, error));
    LS_TRY(plan_split(self, settings, false, error));
    LS_TRY(plan_checkpoint(self, settings, error));
    bounded.device_memory = memory_of_mode(self);
    return mode_plan_memory(self->settings->mode.mode, &bounded, plan->kinds, error);
}

size_t memory_device_bytes(const memory_plan *plan) {
    size_t sum = plan->device_copies + plan->loader.device;
    for (memory_kind use = 0; use < MEMORY_KINDS; use++)
        sum += plan->kinds[use];
    return sum;
}

int trainer_check_memory(const trainer *self, ls_error *error) {
    int64_t bound = self->settings->device.memory_mb * 1000000;
    double needed = (double)memory_device_bytes(&self->memory);
    if (bound == 0 || needed <= (double)bound)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "--device-memory %lld: a rank would hold %.1f MB with %lld images in a global "
                   "batch (give a smaller batch, --batch-per-rank auto, or "
                   "--accumulate auto)",
                   (long long)self->settings->device.memory_mb, needed / 1e6,
                   (long long)self->global_batch);
}

size_t memory_host_bytes(const trainer *self) {
    const memory_plan *plan = &self->memory;
    size_t own = plan->loader.host + plan->checkpoint + plan->program;
    return is_host(self) ? own + memory_device_bytes(plan) : own;
}

/* What a measurement can be held against. */
static size_t planned_bytes(const trainer *self) {
    return is_host(self) ? memory_host_bytes(self) : memory_device_bytes(&self->memory);
}

/* --device-memory bounds what the device holds; on the host the rest of the plan comes on top. */
static int limit_bytes(const trainer *self, double *out, ls_error *error) {
    device *device = self->engine.device;
    double given = (double)self->settings->device.memory_mb * 1e6;
    size_t free_bytes, total_bytes = 0;
    if (device->is->memory)
        LS_TRY(device->is->memory(device, &free_bytes, &total_bytes, error));
    *out = (double)total_bytes;
    if (given > 0 && (*out <= 0 || given < *out))
        *out = given;
    if (*out > 0)
        *out += (double)(planned_bytes(self) - memory_device_bytes(&self->memory));
    return LS_OK;
}

static void describe(const trainer *self, memory_use *out) {
    const memory_plan *plan = &self->memory;
    size_t bytes[MEMORY_KINDS];
    mode_memory(self->learner.mode, bytes);
    *out = (memory_use){.parameters = (double)bytes[MEMORY_PARAMETERS],
                        .gradients = (double)bytes[MEMORY_GRADIENTS],
                        .optimizer = (double)bytes[MEMORY_OPTIMIZER],
                        .packed = (double)bytes[MEMORY_PACKED],
                        .activations = (double)bytes[MEMORY_ACTIVATIONS],
                        .workspace = (double)bytes[MEMORY_WORKSPACE],
                        .communication = (double)bytes[MEMORY_COMMUNICATION],
                        .loader = (double)(plan->loader.host + plan->loader.device),
                        .checkpoint = (double)(plan->checkpoint + plan->device_copies),
                        .program = (double)plan->program,
                        .planned = (double)planned_bytes(self)};
}

int trainer_gather_memory(trainer *self, ls_error *error) {
    memory_use mine, *all = calloc((size_t)self->me->size, sizeof *all);
    if (!all)
        return ls_fail(error, LS_FAILED, "out of memory");
    describe(self, &mine);
    int status = limit_bytes(self, &mine.limit, error);
    if (status == LS_OK)
        status = comm_allgather_bytes(self->control, &mine, all, sizeof mine, error);
    for (int rank = 0; rank < self->me->size; rank++)
        self->ranks.facts[rank].memory = all[rank];
    free(all);
    return status;
}

static int note(const trainer *self, const char *name, size_t planned, size_t held,
                ls_error *error) {
    if (planned == held)
        return run_note(self->run, error, "memory  %s: %.1f MB", name, (double)planned / 1e6);
    return run_note(self->run, error, "memory  %s: %.1f MB planned, %.1f MB held", name,
                    (double)planned / 1e6, (double)held / 1e6);
}

int trainer_note_memory(const trainer *self, ls_error *error) {
    const memory_plan *plan = &self->memory;
    size_t held[MEMORY_KINDS], loader = plan->loader.host + plan->loader.device;
    size_t checkpoint = plan->checkpoint + plan->device_copies, all = planned_bytes(self);
    mode_memory(self->learner.mode, held);
    for (memory_kind use = 0; use < MEMORY_KINDS; use++)
        LS_TRY(note(self, memory_kind_name(use), plan->kinds[use], held[use], error));
    LS_TRY(note(self, "loader", loader, loader, error));
    LS_TRY(note(self, "checkpoint", checkpoint, checkpoint, error));
    LS_TRY(note(self, "program", plan->program, plan->program, error));
    return note(self, is_host(self) ? "planned in all" : "planned in all, on the device", all, all,
                error);
}
