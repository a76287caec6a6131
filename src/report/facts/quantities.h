/* What follows from what was measured. */
#ifndef LOCKSTEP_REPORT_FACTS_QUANTITIES_H
#define LOCKSTEP_REPORT_FACTS_QUANTITIES_H

#include "report/facts/records.h"

/* What no phase accounts for: the loop's own overhead. */
double other_seconds(double seconds, const phase_seconds *phases);

/* What ranks did themselves: all but waiting in the comm, and what no phase accounts for. */
double busy_seconds(const phase_seconds *phases);

/* Share of the training time in which the device had work: totals.def's device_busy. */
double device_busy(const run_facts *facts, const run_totals *totals);

/* `amount` a second; NAN where no time passed. */
double rate(int64_t amount, double seconds);
/* NAN where there were no images, or no amount. */
double per_image(double amount, const run_totals *totals);

/* Of a step of the whole batch, by the epochs' clock: the training time over the images, times the
 * global batch. */
double step_seconds(const run_facts *facts, const run_totals *totals);

/* Over the ranks, of those that were measured; NAN where none was. */
typedef struct spread {
    double minimum, mean, maximum;
} spread;
/* Of the double at `offset` of each. */
spread spread_of_usage(const rank_usage *usage, int ranks, size_t offset);
spread peak_memory_spread(const rank_usage *usage, int ranks);
double most_held_bytes(const rank_usage *usage, int ranks); /* of the rank that held most */
spread cpu_utilisation_spread(const rank_usage *usage, int ranks);

#endif
