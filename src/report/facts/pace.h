/* The verdict about stragglers. A rank is steadily slow where it was busy for longer than the
 * median of the other ranks in at least 80% of the compared steps, and for longer by a median of at
 * least 5% of it (in half of the steps: PACE_SLOW), over at least 20 steps. Chance alone says so of
 * one of two equal ranks in 20 steps about once in a hundred runs, and practically never in 100.
 * Several ranks can be slow (a host's), but less than half of them, for the median tells what is
 * usual. */
#ifndef LOCKSTEP_REPORT_FACTS_PACE_H
#define LOCKSTEP_REPORT_FACTS_PACE_H

#include "report/facts/records.h"

bool is_straggler(const rank_pace *pace);
/* By how much longer it was busy than the others' median: 0.05 is 5%. */
double rank_excess(const rank_pace *pace);

/* What the stragglers cost: the seconds that each of the other ranks waited at least; NAN where
 * nobody is steadily slow. ranks: [count]. */
double straggler_cost_seconds(const rank_epoch *ranks, int count);

#endif
