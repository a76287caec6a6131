/* gpu.csv: what the monitors of all ranks saw, one row a sample, rank after rank. */
#ifndef LOCKSTEP_REPORT_RUN_GPU_CSV_H
#define LOCKSTEP_REPORT_RUN_GPU_CSV_H

#include "base/error.h"
#include "base/usage.h"

#include <stddef.h>

/* On rank 0: FOLDER/NAME (GPU_FILE, CPU_FILE), whole or not at all. samples: [ranks][capacity],
 * each rank's in time order, `seconds` NAN behind its last. */
int gpu_csv_write(const char *folder, const char *name, const usage_sample *samples, int ranks,
                  size_t capacity, ls_error *error);

#endif
