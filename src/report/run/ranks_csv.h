/* ranks.csv: what each rank did in each epoch, one row an epoch and rank, epoch after epoch. The
 * rows of an epoch average to its row in epochs.csv. */
#ifndef LOCKSTEP_REPORT_RUN_RANKS_CSV_H
#define LOCKSTEP_REPORT_RUN_RANKS_CSV_H

#include "base/error.h"
#include "report/facts/records.h"

/* What is to be written. Zero bytes: nothing yet. */
typedef struct ranks_csv {
    rank_epoch *rows; /* [capacity * ranks] */
    int *epochs;      /* [capacity] */
    size_t capacity;  /* of epochs */
    int epoch_count;
    text_buffer past; /* rows of an earlier attempt at the run, on as many ranks */
} ranks_csv;

int ranks_csv_add(ranks_csv *self, int epoch, const rank_epoch *ranks, int count, ls_error *error);
/* The rows so far, without titles. */
void ranks_csv_rows(const ranks_csv *self, const rank_facts *facts, int count, text_buffer *out);
/* PATH, whole or not at all. facts: [count], where each rank ran. */
int ranks_csv_write(const ranks_csv *self, const char *path, const rank_facts *facts, int count,
                    ls_error *error);
void ranks_csv_free(ranks_csv *self);

/* `sum` and one more epoch of that rank. A mean clock weighs by time. */
void rank_epoch_add(rank_epoch *sum, const rank_epoch *more);

#endif
