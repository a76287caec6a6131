/* The facts of a run as a whole: the table of summary.csv, and copies that own their texts. */
#ifndef LOCKSTEP_REPORT_FACTS_FACTS_H
#define LOCKSTEP_REPORT_FACTS_FACTS_H

#include "base/error.h"
#include "report/facts/column.h"
#include "report/facts/records.h"

/* The parts of its record. */
enum { PART_FACTS, PART_TOTALS, PART_DERIVED, SUMMARY_PARTS };
extern const column_table summary_columns; /* facts.def, then totals.def */

/* With texts (never NULL then) and rank_list of its own, for run_facts_free. */
int run_facts_copy(run_facts *out, const run_facts *facts, ls_error *error);
void run_facts_free(run_facts *self);

#endif
