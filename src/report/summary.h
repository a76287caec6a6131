/* The rows of summary.csv and epochs.csv: which columns there are, and how each is computed. */
#ifndef LOCKSTEP_REPORT_SUMMARY_H
#define LOCKSTEP_REPORT_SUMMARY_H

#include "report/csv.h"
#include "report/run.h"

/* Raised when a column changes its meaning or goes; a new column alone does not raise it. */
#define SUMMARY_FORMAT_VERSION 1

#define SUMMARY_FILE "summary.csv"
#define EPOCHS_FILE  "epochs.csv"
#define LOG_FILE     "log.txt"
#define GPU_FILE     "gpu.csv"

void summary_row(csv_row *row, const run_facts *facts, const run_totals *totals);
void epoch_row(csv_row *row, const epoch_record *epoch);

/* What no phase accounts for: the loop's own overhead. */
double other_seconds(double seconds, const phase_seconds *phases);

/* What ranks did themselves: all but waiting in the comm, and what no phase accounts for. */
double busy_seconds(const phase_seconds *phases);

/* `amount` a second; NAN where no time passed. */
double rate(int64_t amount, double seconds);

/* Of a step of the whole batch, by the epochs' clock: the training time over the images, times the
 * global batch. */
double step_seconds(const run_facts *facts, const run_totals *totals);

/* Over the ranks, of those that were measured; NAN where none was. */
typedef struct spread {
    double minimum, mean, maximum;
} spread;
spread peak_memory_spread(const rank_usage *usage, int ranks);
spread cpu_utilisation_spread(const rank_usage *usage, int ranks);

#endif
