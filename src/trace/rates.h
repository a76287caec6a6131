/* What a device does at its best, measured in this process: the yardstick of a profile's floors. */
#ifndef LOCKSTEP_TRACE_RATES_H
#define LOCKSTEP_TRACE_RATES_H

#include "device/device.h"

typedef struct device_rates {
    double flop_per_second;  /* of a large linear layer's forward, the device's own op */
    double bytes_per_second; /* of a large copy on the device: read plus written */
} device_rates;

/* Products of squares and copies, of growing size until one takes long enough (or memory runs
 * out); the best of the calls. About a second at most on a device that is fast enough to train.
 * Nothing else may run in `stream`. Allocates; never in the hot loop. */
int device_rates_measure(device *device, device_stream *stream, precision precision,
                         device_rates *out, ls_error *error);

#endif
