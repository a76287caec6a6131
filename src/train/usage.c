/* What the ranks used: memory, their cores, their GPUs; of an epoch and of the run. */
#include "train/usage.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A line of a file of proc(5): "VmHWM: 12 kB"; NAN where it is not told. */
static double told_bytes(const char *path, const char *format) {
    char line[256];
    double kilobytes = NAN;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, format, &kilobytes) == 1)
            break;
    if (file)
        fclose(file);
    return kilobytes * 1024.0;
}

/* The most memory this process had resident since it began, or since that was forgotten. */
static double peak_memory_bytes(void) {
    return told_bytes("/proc/self/status", "VmHWM: %lf kB");
}

/* Of what is resident now, what is counted in other ranks: pages of shared memory that several have
 * touched are a part each. */
static double others_shared_bytes(void) {
    double mapped = told_bytes("/proc/self/status", "RssShmem: %lf kB");
    double part = told_bytes("/proc/self/smaps_rollup", "Pss_Shmem: %lf kB");
    return mapped > part ? mapped - part : 0;
}

void trainer_forget_peak_memory(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (!file)
        return;
    fputs("5", file);
    fclose(file);
}

static double cpu_utilisation(const trainer *self, double cpu_seconds, double training_seconds) {
    double available = training_seconds * self->engine.binding.threads;
    return available > 0 ? cpu_seconds / available : NAN;
}

typedef struct epoch_usage {
    double cpu, memory, gpu, gpu_memory;
} epoch_usage;

static void combine(const epoch_usage *all, int ranks, epoch_record *record) {
    double cpu = 0, gpu = 0;
    int measured = 0;
    record->peak_memory_bytes = record->gpu_peak_memory_bytes = NAN; /* fmax ignores NAN */
    for (int rank = 0; rank < ranks; rank++) {
        cpu += all[rank].cpu;
        record->peak_memory_bytes = fmax(record->peak_memory_bytes, all[rank].memory);
        record->gpu_peak_memory_bytes = fmax(record->gpu_peak_memory_bytes, all[rank].gpu_memory);
        if (isnan(all[rank].gpu))
            continue;
        gpu += all[rank].gpu;
        measured++;
    }
    record->cpu_utilisation = cpu / ranks;
    record->gpu_utilisation = measured ? gpu / measured : NAN;
}

int trainer_epoch_usage(trainer *self, double cpu_seconds, epoch_record *record, ls_error *error) {
    epoch_usage mine = {.cpu = cpu_utilisation(self, cpu_seconds, record->seconds),
                        .memory = peak_memory_bytes()};
    monitor_peek(self->monitor, &mine.gpu, &mine.gpu_memory);
    monitor_energy consumed;
    LS_TRY(energy_so_far(self, &consumed, error));
    record->gpu_energy_joules = consumed.gpu;
    record->cpu_energy_joules = consumed.cpu;
    self->energy.earlier = (monitor_energy){0, 0}; /* the next epoch begins at its start */
    epoch_usage *all = calloc((size_t)self->me->size, sizeof *all);
    if (!all)
        return ls_fail(error, LS_FAILED, "out of memory");
    int status = comm_allgather_bytes(self->control, &mine, all, sizeof mine, error);
    if (status == LS_OK)
        combine(all, self->me->size, record);
    free(all);
    return status;
}

/* What the plan of its memory is held against. */
static int most_held_bytes(const trainer *self, double *out, ls_error *error) {
    device *device = self->engine.device;
    size_t bytes;
    *out = peak_memory_bytes() - others_shared_bytes();
    if (!device->is->most_held)
        return LS_OK;
    LS_TRY(device->is->most_held(device, &bytes, error));
    *out = (double)bytes;
    return LS_OK;
}

int trainer_gather_usage(trainer *self, ls_error *error) {
    const store *store = self->learner.mode->store;
    offload_totals moved = store_file_totals(store);
    rank_usage mine = {.peak_memory_bytes = peak_memory_bytes(),
                       .offloaded_bytes = (double)store_file_bytes(store),
                       .offload_moved_bytes = (double)(moved.read_bytes + moved.written_bytes),
                       .exposed_offload_seconds = self->clocks.offload_waited,
                       .cpu_utilisation = cpu_utilisation(self, self->clocks.training_cpu,
                                                          self->totals.training_seconds)};
    LS_TRY(most_held_bytes(self, &mine.most_held_bytes, error));
    monitor_finish(self->monitor, &mine.gpu);
    self->ranks.usage = calloc((size_t)self->me->size, sizeof *self->ranks.usage);
    if (!self->ranks.usage)
        return ls_fail(error, LS_FAILED, "out of memory");
    return comm_allgather_bytes(self->control, &mine, self->ranks.usage, sizeof mine, error);
}
