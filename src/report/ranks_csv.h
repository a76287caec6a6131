/* ranks.csv: what each rank did in each epoch, one row an epoch and rank, epoch after epoch. The
 * rows of an epoch average to its row in epochs.csv. */
#ifndef LOCKSTEP_REPORT_RANKS_CSV_H
#define LOCKSTEP_REPORT_RANKS_CSV_H

#include "report/finished_run.h"
#include "report/run.h"

#define RANKS_FILE "ranks.csv"

/* What is to be written. Zero bytes: nothing yet. */
typedef struct ranks_csv {
    rank_epoch *rows; /* [capacity * ranks] */
    int *epochs;      /* [capacity] */
    size_t capacity;  /* of epochs */
    int epoch_count;
} ranks_csv;

int ranks_csv_add(ranks_csv *self, int epoch, const rank_epoch *ranks, int count, ls_error *error);
/* PATH, whole or not at all. facts: [count], where each rank ran. */
int ranks_csv_write(const ranks_csv *self, const char *path, const rank_facts *facts, int count,
                    ls_error *error);
void ranks_csv_free(ranks_csv *self);

/* `sum` and one more epoch of that rank. A mean clock weighs by time. */
void rank_epoch_add(rank_epoch *sum, const rank_epoch *more);

/* What is read back: every rank's sums over the epochs, and where it ran. */
struct finished_ranks {
    int count;
    rank_epoch *sums;  /* [count] */
    rank_facts *facts; /* [count]; rank, host, device and gpu_uuid alone */
};

/* *out is NULL where the run is from before waiting was measured, else for finished_ranks_free.
 * LS_BAD_INPUT with a line that names the file: it is missing where summary.csv says that waiting
 * was measured, a column is missing, a value cannot be, a rank of an epoch is missing or there
 * twice, or the rows do not average to what summary.csv has. */
int finished_ranks_read(finished_ranks **out, const finished_run *run, ls_error *error);
void finished_ranks_free(finished_ranks *self); /* NULL is fine */

#endif
