/* The columns of attempts.csv. */
#ifndef LOCKSTEP_REPORT_FACTS_ATTEMPT_COLUMNS_H
#define LOCKSTEP_REPORT_FACTS_ATTEMPT_COLUMNS_H

#include "base/error.h"
#include "report/facts/column.h"

#include <stdint.h>

#define ATTEMPT_RUNNING "running"
#define ATTEMPT_KILLED  "killed" /* it did not come to say why it ended */

/* One start of the program for a run. Times are rank 0's. */
typedef struct attempt_record {
    int attempt, ranks;
    char started[32], slurm_job_id[64], ended[24];
    double queue_seconds; /* NAN: not known */
    double start_seconds, training_seconds, evaluation_seconds, blocked_seconds, total_seconds;
    int64_t first_step, last_step;
    int64_t saved_step; /* of its last checkpoint that is in place; 0: none is */
    int64_t lost_steps; /* of these, done again by a later one */
    double lost_seconds;
} attempt_record;

/* Of all attempts. */
typedef struct attempt_sums {
    int attempts;
    int64_t lost_steps;
    double total_seconds, lost_seconds;
    double goodput; /* training and evaluation that was not lost, over all time; NAN: no time */
} attempt_sums;

extern const column_table attempt_columns;
void attempt_add_row(text_buffer *out, const attempt_record *attempt);

/* What each of `count` attempts, in the order in which they were made, did that a later one did
 * again, which went on from an earlier step. One that was cut short came as far as the
 * checkpoint that the next one went on from, at least. */
void attempts_find_lost(attempt_record *list, int count);
attempt_sums attempts_sum(const attempt_record *list, int count);

/* The rows of an attempts.csv. `where` opens errors (LS_BAD_INPUT). The caller frees *out
 * [*count]. */
int attempts_read(const char *path, attempt_record **out, int *count, ls_error *error);

#endif
