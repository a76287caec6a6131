/* Means, peaks and energy over training time, from readings at any moments. Between two readings
 * a counter (energy, ticks) is taken to grow evenly, and power to lie between the two; utilisation
 * holds for the time before its reading. A value that was missing for more than a tenth of the
 * training time has no mean; energy must be known for all of it. */
#ifndef LOCKSTEP_MONITOR_TOTALS_H
#define LOCKSTEP_MONITOR_TOTALS_H

#include "base/usage.h"
#include "monitor/host.h"
#include "monitor/nvml.h"

/* A value integrated over training time, and for how much of it it was known. */
typedef struct integral {
    double sum, covered_seconds;
} integral;

/* The last reading that a value was known at. */
typedef struct anchor {
    double time, training_seconds, value;
    bool set;
} anchor;

/* totals_start() first. */
typedef struct totals {
    double time, training_seconds; /* of the last reading */
    bool any;
    integral utilisation, energy, power, host, packages;
    anchor energy_at, power_at, packages_at;
    host_counters host_before;
    double host_training_seconds; /* at host_before */
    double host_time;
    double peak_memory_bytes, maximum_temperature_celsius;
    bool throttle_known;
    uint64_t throttle_reasons;
    integral clock; /* the SM's, and what held it back, since totals_take_clocks */
    gpu_clocks recent;
} totals;

void totals_start(totals *self);

/* A reading at `time`, when `training_seconds` of training time have passed. Fills `sample`, its
 * time excepted. */
void totals_add(totals *self, double time, double training_seconds, const nvml_reading *gpu,
                const host_counters *host, usage_sample *sample);

/* The energy of the training time up to the last reading, in joules; NAN where it is not known for
 * all of it. Of the GPU: its own counter where it has one, else its power over the time. */
double totals_gpu_energy(const totals *self, double training_seconds);
double totals_cpu_energy(const totals *self, double training_seconds);

/* Of the training time since the last call. A clock that was never read has no mean; it is not
 * asked to be known all the time, for an epoch can be shorter than the time between two readings.
 */
void totals_take_clocks(totals *self, gpu_clocks *out);

/* Of `training_seconds` in all. */
void totals_get(const totals *self, double training_seconds, gpu_usage *out);

#endif
