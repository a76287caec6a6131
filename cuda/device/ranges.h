/* device.h's range_begin and range_end for cuda: NVTX. */
#ifndef LOCKSTEP_CUDA_DEVICE_RANGES_H
#define LOCKSTEP_CUDA_DEVICE_RANGES_H

#include "device/device.h"

void cuda_range_begin(device *self, const char *name);
void cuda_range_end(device *self);

#endif
