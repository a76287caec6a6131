/* The verdict about stragglers. A rank is steadily slow where it was busy for longer than the
 * median of the other ranks in at least 80% of the compared steps, and for longer by a median of at
 * least 5% of it (in half of the steps: PACE_SLOW), over at least 20 steps. Chance alone says so of
 * one of two equal ranks in 20 steps about once in a hundred runs, and practically never in 100.
 * Several ranks can be slow (a host's), but less than half of them, for the median tells what is
 * usual. */
#ifndef LOCKSTEP_REPORT_STRAGGLER_H
#define LOCKSTEP_REPORT_STRAGGLER_H

#include "report/csv.h"
#include "report/run.h"

bool is_straggler(const rank_pace *pace);

/* What the stragglers cost: the seconds that each of the other ranks waited at least; NAN where
 * nobody is steadily slow. ranks: [count]. */
double straggler_cost_seconds(const rank_epoch *ranks, int count);

/* A line a straggler, that names rank, host and device, by how much it is slow and in how many
 * steps, what the waits cost, and on a GPU its clock against the others' and what held it back;
 * nothing where nobody is steadily slow. `before` stands in front of each line. facts, ranks:
 * [count], of a run that trained for `seconds`. */
void straggler_text(text_buffer *out, const char *before, const rank_facts *facts,
                    const rank_epoch *ranks, int count, double seconds);

/* Columns of summary.csv; empty where nobody is, or nothing was measured (ranks: NULL). */
void put_stragglers(csv_row *row, const rank_epoch *ranks, int count);

#endif
