/* What a run on devices with memory and algorithms of their own needs beside the device. */
#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void trainer_plan_cache(const trainer *self, char *out, size_t capacity) {
    const char *wanted = self->settings->plan_cache;
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char folder[3584] = "";
    out[0] = '\0';
    if (wanted && strcmp(wanted, "off") == 0)
        return;
    if (wanted) {
        snprintf(out, capacity, "%s", wanted);
        return;
    }
    if (cache && *cache)
        snprintf(folder, sizeof folder, "%s", cache);
    else if (home && *home)
        snprintf(folder, sizeof folder, "%s/.cache", home);
    else
        return;
    /* A cache that cannot be written costs time, not the run. */
    mkdir(folder, 0777);
    strncat(folder, "/lockstep", sizeof folder - strlen(folder) - 1);
    if (mkdir(folder, 0777) == 0 || access(folder, W_OK) == 0)
        snprintf(out, capacity, "%s/plans", folder);
}

int trainer_share_choices(trainer *self, ls_error *error) {
    device *device = self->device;
    char *text = NULL;
    int64_t bytes = 0;
    if (self->me->rank == 0) {
        LS_TRY(device->is->choices_export(device, &text, error));
        bytes = (int64_t)strlen(text) + 1;
    }
    int status = comm_broadcast_bytes(self->control, &bytes, sizeof bytes, 0, error);
    if (status == LS_OK && self->me->rank != 0 && !(text = malloc((size_t)bytes)))
        status = ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK)
        status = comm_broadcast_bytes(self->control, text, (size_t)bytes, 0, error);
    if (status == LS_OK && self->me->rank != 0)
        status = device->is->choices_import(device, text, error);
    free(text);
    return status;
}

/* Bytes a sample of the rank's batch: activations, and in dp rank 0's copy of the whole batch. */
static size_t bytes_per_sample(const trainer *self) {
    int64_t local = share_of(self->global_batch, 0, self->me->size).count;
    return network_arena_bytes(self->network) / (size_t)(local > 0 ? local : 1) + 1;
}

int trainer_fit(trainer *self, int status, ls_error *error) {
    size_t free_bytes, total_bytes;
    ls_error ignored = {0};
    if (status != LS_BAD_INPUT || !self->network || !self->device->is->memory)
        return status;
    if (self->device->is->memory(self->device, &free_bytes, &total_bytes, &ignored) != LS_OK)
        return status;
    size_t flat = self->graph.parameter_count * sizeof(float);
    size_t fixed = flat * (size_t)(2 + optimizer_moments(&self->optimizer));
    size_t fits = free_bytes > fixed ? (free_bytes - fixed) / bytes_per_sample(self) : 0;
    size_t used = strlen(error->text);
    snprintf(error->text + used, sizeof error->text - used,
             "; the largest batch that would fit is about %zu a rank (--batch-per-rank)", fits);
    return status;
}
