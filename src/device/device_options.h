/* What a user chooses of where a rank computes; of all commands that do. */
#ifndef LOCKSTEP_DEVICE_DEVICE_OPTIONS_H
#define LOCKSTEP_DEVICE_DEVICE_OPTIONS_H

#include "base/option.h"

#define DEVICE_CHOICES "auto|cuda|cpu|ref"

typedef struct device_options {
    const char *device; /* of DEVICE_CHOICES (device_open) */
    int64_t threads;    /* of a rank; 0: one for each of its cores (launch_bind) */
    /* Bound on what a rank may hold in the device's memory, as a run plans it (on a device of the
     * host: of what the mode, the model and its batches take), in 10^6 bytes; 0: none was given. */
    int64_t memory_mb;
    bool oversubscribe, share_gpu; /* two ranks on one core; more local ranks than GPUs */
} device_options;

/* The group of a command whose settings hold a device_options at `offset`. */
int device_add_options(option_groups *list, size_t offset, ls_error *error);

#endif
