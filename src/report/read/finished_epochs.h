/* A run's epochs.csv, read back and held against its summary. */
#ifndef LOCKSTEP_REPORT_READ_FINISHED_EPOCHS_H
#define LOCKSTEP_REPORT_READ_FINISHED_EPOCHS_H

#include "base/error.h"
#include "report/read/finished_run.h"

#include <stddef.h>

typedef struct finished_epoch {
    double training_seconds, evaluation_seconds;
    double train_loss, train_accuracy, test_loss, test_accuracy; /* NAN: not measured */
    double images;
    double peak_memory_bytes,
        gpu_peak_memory_bytes;                   /* so far, of the fullest rank; NAN: as above */
    double gpu_energy_joules, cpu_energy_joules; /* NAN: as above, or not measured */
} finished_epoch;

typedef struct finished_epochs {
    finished_epoch *items; /* [count], from epoch 1 on; owned */
    size_t count;
} finished_epochs;

/* LS_BAD_INPUT with a line that names the file: not there, no CSV, a column missing, a value that
 * cannot be, other epochs or another training time than summary.csv says. */
int finished_epochs_read(finished_epochs *out, const finished_run *run, ls_error *error);
void finished_epochs_free(finished_epochs *self);

#endif
