/* What a run on devices with memory and algorithms of their own needs beside the device. */
#include "train/plan_choices.h"
#include "comm/gpu_survey.h"
#include "report/facts/files.h"
#include "report/run/gpu_csv.h"
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

int trainer_check_gpus(const trainer *self, ls_error *error) {
    const rank_facts *all = self->ranks.facts;
    if (self->settings->device.share_gpu || !self->engine.device->facts.uuid[0])
        return LS_OK;
    for (int rank = 1; rank < self->me->size; rank++) {
        int other = gpu_survey_sharer(all[0].gpu_uuid, sizeof *all, rank);
        if (other >= 0)
            return ls_fail(error, LS_BAD_LAUNCH,
                           "ranks %d and %d on host %.63s were given the same GPU (%s): ask for "
                           "one a rank (--gres=gpu:N, --gpus-per-task=1), or let them share it "
                           "with --share-gpu",
                           other, rank, all[rank].host, all[rank].gpu_uuid);
    }
    return LS_OK;
}

int trainer_open_monitor(trainer *self, ls_error *error) {
    monitor_settings settings = {.gpu_uuid = self->engine.device->facts.uuid,
                                 .capacity = monitor_capacity(self->me->size),
                                 .processing_units = self->engine.binding.processing_units,
                                 .processing_unit_count = self->engine.binding.threads};
    char packages[300];
    if (!self->engine.device->facts.uuid[0] && !self->settings->sample_cores &&
        !monitor_packages(packages, sizeof packages))
        return LS_OK;
    LS_TRY(monitor_open(&settings, &self->monitor, error));
    const char *note = monitor_note(self->monitor);
    return *note && self->me->rank == 0 ? run_note(self->run, error, "monitor  %s", note) : LS_OK;
}

int trainer_write_samples(trainer *self, ls_error *error) {
    size_t capacity = monitor_capacity(self->me->size);
    size_t bytes = capacity * sizeof(usage_sample);
    bool gpu = self->engine.device->facts.uuid[0] != '\0'; /* of all ranks, or of none */
    if (!gpu && !self->settings->sample_cores)
        return LS_OK;
    usage_sample *all = malloc((size_t)self->me->size * bytes);
    if (!all)
        return ls_fail(error, LS_FAILED, "out of memory");
    int status =
        comm_allgather_bytes(self->control, monitor_samples(self->monitor), all, bytes, error);
    if (status == LS_OK && self->me->rank == 0)
        status = gpu_csv_write(self->settings->results, gpu ? GPU_FILE : CPU_FILE, all,
                               self->me->size, capacity, error);
    free(all);
    return status;
}

int trainer_share_choices(trainer *self, ls_error *error) {
    device *device = self->engine.device;
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
    if (status == LS_OK && self->me->size > 1)
        status = device->is->choices_import(device, text, error);
    free(text);
    return status;
}

/* Bytes a sample of the rank's batch: activations. Of a step in micro-batches only one is held at
 * a time. */
static size_t bytes_per_sample(const trainer *self) {
    int64_t local = share_of(self->global_batch, 0, self->me->size).count;
    return network_arena_bytes(self->learner.network) / (size_t)(local > 0 ? local : 1) + 1;
}

int trainer_fit(trainer *self, int status, ls_error *error) {
    if (status == LS_OK || !error->no_room || !self->learner.network ||
        self->engine.free_bytes == 0)
        return status;
    size_t flat = self->graph.parameter_count * sizeof(float);
    bool accumulates = self->settings->mode.accumulate > 1;
    bool averages = self->settings->optimizer.average > 0;
    size_t fixed =
        flat * (size_t)(2 + accumulates + averages + optimizer_moments(&self->learner.optimizer));
    size_t fits = self->engine.free_bytes > fixed
                      ? (self->engine.free_bytes - fixed) / bytes_per_sample(self)
                      : 0;
    size_t used = strlen(error->text);
    if (fits > 0)
        snprintf(error->text + used, sizeof error->text - used,
                 "; the largest batch that would fit is about %zu a rank (--batch-per-rank)", fits);
    else
        snprintf(error->text + used, sizeof error->text - used,
                 "; no batch would fit: the model and its optimizer alone need %.1f MiB",
                 (double)fixed / 1048576.0);
    return status;
}
