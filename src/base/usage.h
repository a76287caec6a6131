/* What was seen of a rank's GPU and of its host while it ran: what monitor/ measures and report/
 * prints. A value that was not measured is NAN. */
#ifndef LOCKSTEP_BASE_USAGE_H
#define LOCKSTEP_BASE_USAGE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* One moment, or the mean of several that follow each other (the time and the rest are means;
 * memory and temperature the highest; reasons all that were seen). */
typedef struct usage_sample {
    double seconds;          /* since the first start of training; negative before it */
    double gpu_utilisation;  /* [0, 1] of the time: a kernel was running */
    double gpu_memory_bytes; /* in use on the GPU, by whomever */
    double power_watts;
    double sm_clock_hertz, memory_clock_hertz;
    double temperature_celsius;
    double host_cpu_utilisation; /* [0, 1] of all the host's processing units */
    double own_cpu_cores;        /* processing units that this process kept busy */
    uint64_t throttle_reasons;   /* NVML's bits (nvmlClocksEventReasons) */
    bool throttle_known;
    bool training; /* taken in training time */
} usage_sample;

/* Of a rank's training time. All zero bytes: nothing was measured. */
typedef struct gpu_usage {
    bool measured;            /* false: the values below mean nothing */
    double utilisation;       /* mean */
    double peak_memory_bytes; /* of the whole run, warm-up included */
    double energy_joules, mean_power_watts;
    double maximum_temperature_celsius;
    double host_cpu_utilisation; /* mean */
    bool throttle_known;
    uint64_t throttle_reasons; /* seen in any sample */
} gpu_usage;

#endif
