/* The monitor: a thread that samples this rank's GPU (NVML) and its host, its CPU packages' energy
 * among it (monitor/packages.h), while the rank trains.
 * It makes no CUDA call and no context. What cannot be measured stays empty: a machine without
 * NVML is no error. All functions take a NULL self and do nothing, so a run without a monitor
 * needs no conditions.
 *
 *     monitor_settings settings = {.gpu_uuid = device->facts.uuid,
 *                                  .capacity = monitor_capacity(me->size),
 *                                  .processing_units = binding.processing_units,
 *                                  .processing_unit_count = binding.threads};
 *     if (device->facts.uuid[0] || monitor_packages(text, sizeof text))
 *         LS_TRY(monitor_open(&settings, &self->monitor, error));
 *     ...
 *     monitor_start(self->monitor);                // each epoch, with the clock
 *     monitor_stop(self->monitor);
 *     ...
 *     monitor_finish(self->monitor, &mine.gpu);    // mine: rank_usage
 *     if (monitor_on_every_rank) {                 // (all ranks, or none, call the gather)
 *         all = calloc(size * capacity, sizeof *all);
 *         comm_allgather_bytes(control, monitor_samples(self->monitor), all,
 *                              capacity * sizeof *all, error);
 *         rank 0: gpu_csv_write(folder, GPU_FILE, all, size, capacity, error);   //
 * report/run/gpu_csv.h
 *     }
 *     monitor_close(self->monitor);
 */
#ifndef LOCKSTEP_MONITOR_MONITOR_H
#define LOCKSTEP_MONITOR_MONITOR_H

#include "base/error.h"
#include "base/usage.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct monitor monitor;

typedef struct monitor_settings {
    const char *gpu_uuid;    /* "": no GPU, the host alone */
    double interval_seconds; /* 0: 0.1 of a GPU, 1 of the host alone */
    size_t capacity;         /* samples that are kept for gpu.csv: monitor_capacity() */
    /* Where the thread may run (OS numbers); count 0: where the caller may. */
    const int *processing_units;
    int processing_unit_count;
} monitor_settings;

/* So many samples a rank that gpu.csv stays at some ten MB for any number of ranks: 36,000 (an
 * hour at ten a second) alone, at least 128. A longer run keeps every second, fourth, ... sample;
 * totals are of all. */
size_t monitor_capacity(int ranks);

/* Starts the thread, which takes a first sample at once (waited for, 2 s at most). */
int monitor_open(const monitor_settings *settings, monitor **out, ls_error *error);

/* Why the GPU's values are empty, one line; "" where NVML answers. */
const char *monitor_note(const monitor *self);

/* The clock of the training time starts and stops; any number of times. Cheap: no NVML call is
 * made on the calling thread. */
void monitor_start(monitor *self);
void monitor_stop(monitor *self);

/* Since the last call: the GPU's mean utilisation over the training time in between, NAN where no
 * reading fell into it. And the most GPU memory seen so far; NAN for a NULL self. */
void monitor_peek(monitor *self, double *gpu_utilisation, double *gpu_memory_bytes);
/* What was consumed in the training time so far, up to the last reading; after monitor_stop up to
 * that mark, whose reading is waited for (2 s at most). In joules: by the GPU, by all CPU packages
 * of this host. NAN: not known for all of that time, or a NULL self. */
typedef struct monitor_energy {
    double gpu, cpu;
} monitor_energy;
monitor_energy monitor_consumed(monitor *self);

/* "2 CPU packages (RAPL)", or why their energy is not to be had: whatever monitor runs. */
bool monitor_packages(char *out, size_t capacity);

/* Of the training time since the last call: each epoch, after monitor_stop, whose own sample may
 * come later and then belongs to the next. A NULL self: not measured. */
void monitor_clocks(monitor *self, gpu_clocks *out);

/* Takes the last sample, ends the thread and gives the totals. A thread that an NVML call holds up
 * is waited for 2 s and then left alone: the totals are those up to it. After this the samples may
 * be read; a second call gives the same totals. */
void monitor_finish(monitor *self, gpu_usage *out);

/* [settings.capacity], in time order; seconds is NAN after the last. After monitor_finish. NULL
 * for a NULL self. */
const usage_sample *monitor_samples(const monitor *self);

void monitor_close(monitor *self);

#endif
