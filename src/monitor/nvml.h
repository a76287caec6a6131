/* One GPU as NVML sees it. The library comes with a driver and has no header here: it is opened
 * at run time, and nvml.c declares by hand what it needs. LOCKSTEP_NVML names another library
 * (tests). */
#ifndef LOCKSTEP_MONITOR_NVML_H
#define LOCKSTEP_MONITOR_NVML_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct nvml nvml;

/* NAN where this GPU, driver or moment has no such value. */
typedef struct nvml_reading {
    double utilisation; /* [0, 1] */
    double memory_bytes;
    double power_watts;
    double energy_joules; /* since the driver was loaded: differences count */
    double sm_clock_hertz, memory_clock_hertz;
    double temperature_celsius;
    bool throttle_known;
    uint64_t throttle_reasons; /* nvmlClocksEventReasons */
} nvml_reading;

/* The GPU with this UUID ("GPU-..."). LS_FAILED with why there is none: no library, no driver, no
 * such GPU. Makes no context on any GPU. */
int nvml_open(const char *uuid, nvml **out, ls_error *error);
void nvml_close(nvml *self); /* NULL is fine */

/* Whether this process may reach another GPU of its host directly. */
typedef enum {
    NVML_PEER_REACHED,     /* it is seen, and the hardware copies between the two */
    NVML_PEER_UNCONNECTED, /* it is seen; copies go through the host */
    NVML_PEER_HIDDEN,      /* this process has no access to it (control groups), so no copy can go
                            * straight to its memory */
    NVML_PEER_UNKNOWN
} nvml_peer;
nvml_peer nvml_reach(nvml *self, const char *uuid);

/* One call for each value; never fails. */
void nvml_read(nvml *self, nvml_reading *out);

#endif
