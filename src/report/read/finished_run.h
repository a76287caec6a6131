/* A run folder that is read back: its summary.csv, by column name, each value checked, and its
 * ranks.csv (finished_ranks.h). */
#ifndef LOCKSTEP_REPORT_READ_FINISHED_RUN_H
#define LOCKSTEP_REPORT_READ_FINISHED_RUN_H

#include "base/error.h"
#include "report/read/finished_ranks.h"
#include "report/text/csv.h"

#include <sys/types.h>

typedef struct finished_run {
    const char *folder; /* as it was given; the caller's */
    csv_table summary;
    dev_t device; /* device and inode tell a folder given twice under two names */
    ino_t inode;
    double started_seconds; /* since 1970, whole */
    finished_ranks *ranks;  /* NULL: the run is from before waiting was measured; owned */
} finished_run;

/* LS_BAD_INPUT with a line that names the folder: none there, no summary.csv (the run did not
 * finish), an unknown format version, a column missing, a value that cannot be, or that does not
 * follow from the others as it should. */
int finished_run_read(finished_run *out, const char *folder, ls_error *error);
void finished_run_free(finished_run *self);

/* Of a column that is required: never NULL; "" where it was not measured. */
const char *finished_run_text(const finished_run *self, const char *column);
/* NAN where it was not measured. */
double finished_run_number(const finished_run *self, const char *column);

#endif
