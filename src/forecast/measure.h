/* The network at hand, measured: a short sweep over the ranks of an MPI run, at the sizes that a
 * run's step sends. */
#ifndef LOCKSTEP_FORECAST_MEASURE_H
#define LOCKSTEP_FORECAST_MEASURE_H

#include "device/device_options.h"
#include "forecast/interconnect.h"
#include "forecast/step.h"
#include "launch/launch.h"

typedef struct measure_settings {
    device_options device; /* as `train` takes it, as the next */
    const char *comm;
    int64_t bucket_bytes;
    const step_model *step;   /* on rank 0: whose sizes to measure; NULL: a ladder of sizes */
    const char *options_text; /* compared between the ranks */
} measure_settings;

typedef struct measure_result {
    measured_link link;
    text_buffer hosts; /* of all ranks' nodes; the caller frees it */
    char comm[200], device[200];
} measure_result;

/* Collective. One node, or one rank on each of several: a mixture would time two links as one
 * (LS_BAD_LAUNCH, as are fewer than 2 ranks). */
int network_measure(launch *me, const measure_settings *settings, measure_result *out,
                    ls_error *error);

#endif
