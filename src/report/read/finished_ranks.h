/* A run's ranks.csv (report/run/ranks_csv.h), read back and held against its summary. */
#ifndef LOCKSTEP_REPORT_READ_FINISHED_RANKS_H
#define LOCKSTEP_REPORT_READ_FINISHED_RANKS_H

#include "base/error.h"
#include "report/facts/records.h"

/* Every rank's sums over the epochs, and where it ran. */
typedef struct finished_ranks {
    int count;
    rank_epoch *sums;  /* [count] */
    rank_facts *facts; /* [count]; rank, host, device and gpu_uuid alone */
} finished_ranks;

/* What summary.csv says of the file. */
typedef struct ranks_expected {
    int ranks;
    double training_seconds, waiting_seconds; /* the means over the ranks */
} ranks_expected;

/* For finished_ranks_free. LS_BAD_INPUT with a line that names the file: it is missing, a column is
 * missing, a value cannot be, a rank of an epoch is missing or there twice, or the rows do not
 * average to what is expected. */
int finished_ranks_read(finished_ranks **out, const char *folder, const ranks_expected *expected,
                        ls_error *error);
void finished_ranks_free(finished_ranks *self); /* NULL is fine */

#endif
