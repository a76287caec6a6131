/* Where the efficiency went: each configuration's loss against its baseline, as parts that sum to
 * it.
 *
 * R ranks that train in TR spend R TR rank-seconds on what the baseline did in T1: the loss is
 * R TR - T1, and as a share of R TR it is 1 - efficiency. Each part is what the ranks spent on it
 * together, R x (the mean over ranks), less what the baseline spent on it, over R TR. So a part
 * counts work that grew as well as work that every rank does anew; it is below 0 where there was
 * less of it. Of repeats each part is the mean over the pairs. The rest closes the row against the
 * efficiency of the speedup table (a geometric mean over pairs): it holds what no phase does, the
 * slowest rank's lead over the mean included. */
#ifndef LOCKSTEP_REPORT_COMPARE_LOST_H
#define LOCKSTEP_REPORT_COMPARE_LOST_H

#include "report/compare/comparison.h"
#include "report/text/table.h"

typedef struct lost_shares {
    double efficiency;
    double waiting;  /* for the slowest rank; NAN: not measured, it is in `transfer` */
    double transfer; /* the rest of the exposed communication */
    double data, forward, backward, optimizer, rest;
} lost_shares;

/* All NAN but the efficiency where a run has no phases. */
lost_shares lost_of(const configuration *baseline, const compared *row);

/* The table under a speedup table, and a line for each rank that was steadily slow in one of its
 * runs; as text or Markdown. Nothing where there is neither. */
void lost_text(text_buffer *out, const comparison *table, table_format format);

/* The same as cells of a row in CSV, in this order; `row` NULL: the baseline's, which are empty. */
#define LOST_CSV_COLUMNS                                                                           \
    {"lost_waiting", false}, {"lost_transfer", false}, {"lost_data", false},                       \
        {"lost_forward", false}, {"lost_backward", false}, {"lost_optimizer", false},              \
        {"lost_rest", false}, {                                                                    \
        "stragglers", true                                                                         \
    }
void lost_csv_cells(table *out, const comparison *table, const compared *row);

#endif
