/* A run's epochs.csv read back, for curves. */
#ifndef LOCKSTEP_REPORT_PLOT_EPOCHS_H
#define LOCKSTEP_REPORT_PLOT_EPOCHS_H

#include "report/finished_run.h"
#include "report/plot_pictures.h"

typedef struct run_epochs {
    size_t count;
    double *numbers; /* all of the arrays below; owned; NULL: nothing was read */
    plot_run loss, accuracy;
} run_epochs;

/* LS_BAD_INPUT with a line that names the file: it is missing, damaged, holds no numbers, or has
 * not the epochs that summary.csv says. */
int run_epochs_read(run_epochs *out, const finished_run *run, ls_error *error);
void run_epochs_free(run_epochs *self);

#endif
