/* What was seen of a rank's GPU and of its host while it ran: what monitor/ measures and report/
 * prints. A value that was not measured is NAN. */
#ifndef LOCKSTEP_BASE_USAGE_H
#define LOCKSTEP_BASE_USAGE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* One moment. */
typedef struct usage_sample {
    double seconds;          /* since training first started; negative before; NAN: no sample */
    double gpu_utilisation;  /* [0, 1] of the time, over NVML's own window (1/6 to 1 s) */
    double gpu_memory_bytes; /* in use on the GPU, by whomever */
    double power_watts;      /* a mean over 1 s on H100 and H200 */
    double sm_clock_hertz, memory_clock_hertz;
    double temperature_celsius;
    double host_cpu_utilisation; /* [0, 1] of the host's processing units, since the last one */
    double own_cpu_cores;        /* processing units that this process kept busy, since then */
    double own_memory_bytes;     /* that this process has resident */
    uint64_t throttle_reasons;   /* NVML's bits (nvmlClocksEventReasons), of those left out too */
    bool throttle_known;
    bool training; /* in training time */
} usage_sample;

/* A GPU's SM clock while it trained, and what held its clocks back. */
typedef struct gpu_clocks {
    double sm_clock_hertz;     /* mean; NAN: not measured */
    bool throttle_known;       /* false: throttle_reasons means nothing */
    uint64_t throttle_reasons; /* as in usage_sample, seen in any sample */
} gpu_clocks;

/* Of a rank's training time. Zero bytes: nothing was measured. */
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
