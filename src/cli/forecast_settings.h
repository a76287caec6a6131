/* What the files of `lockstep forecast` share: forecast.c (the options, the forecast),
 * forecast_measure.c (--measure-network) and forecast_memory.c (--memory, with train's options). */
#ifndef LOCKSTEP_CLI_FORECAST_SETTINGS_H
#define LOCKSTEP_CLI_FORECAST_SETTINGS_H

#include "base/option.h"
#include "device/device_options.h"

typedef struct forecast_settings {
    const char *network, *preset, *inside_network, *inside_preset, *scaling, *collectives, *csv;
    const char *output, *comm;
    double latency_us, bandwidth_gbs, bucket_mb;
    int64_t ranks_per_node;
    device_options device;
    bool measure_network, memory;
} forecast_settings;

static inline int64_t forecast_bucket_bytes(const forecast_settings *self) {
    return (int64_t)(self->bucket_mb * 1048576.0);
}

/* LS_BAD_INPUT where one of `names` (ended by NULL) was given: "--NAME and WITH contradict: WHY".
 */
int forecast_refuse_together(int argc, char **argv, const char *with, const char *const *names,
                             const char *why, ls_error *error);

/* The ranks' part, from launch to its end. */
int forecast_run_measuring(const command *self, int argc, char **argv, ls_error *error);

/* --memory. */
int forecast_run_memory(const command *self, int argc, char **argv, ls_error *error);

#endif
