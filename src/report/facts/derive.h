/* What a run's facts and totals say taken together: the columns of summary.csv that no one
 * measured as they are. */
#ifndef LOCKSTEP_REPORT_FACTS_DERIVE_H
#define LOCKSTEP_REPORT_FACTS_DERIVE_H

#include "report/facts/records.h"

/* For run_derived_free. */
void run_derive(run_derived *out, const run_facts *facts, const run_totals *totals);
void run_derived_free(run_derived *self);

#endif
