/* What a run's monitors sampled (gpu.csv, else cpu.csv), read back: how busy each rank's GPU, or
 * its cores, were and what memory held, over time. */
#ifndef LOCKSTEP_REPORT_READ_FINISHED_SAMPLES_H
#define LOCKSTEP_REPORT_READ_FINISHED_SAMPLES_H

#include "base/error.h"
#include "report/read/finished_run.h"

#include <stddef.h>

typedef struct finished_samples {
    bool cores;   /* of a rank's cores and its process, not of its GPU */
    size_t times; /* 0: the run has no such file, or no sample in it */
    size_t ranks;
    double *seconds; /* [times]: equal steps from the start of training to the last sample */
    double *use,
        *memory; /* [ranks][times]: in [0, 1], in bytes; means around each; NAN: no sample */
} finished_samples;

/* At most `times` moments. LS_BAD_INPUT with a line that names the file: no CSV, a column missing,
 * a value that cannot be, a rank that the run does not have. */
int finished_samples_read(finished_samples *out, const finished_run *run, size_t times,
                          ls_error *error);
void finished_samples_free(finished_samples *self);

#endif
