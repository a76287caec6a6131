/* What each epoch of a run came to: losses and accuracies, throughput, memory; a table a run.
 * Nothing is compared, so runs may differ in anything. */
#ifndef LOCKSTEP_REPORT_COMPARE_EPOCHS_TABLE_H
#define LOCKSTEP_REPORT_COMPARE_EPOCHS_TABLE_H

#include "report/read/complaints.h"
#include "report/read/run_list.h"
#include "report/text/table.h"

/* As text or Markdown a table with a title a run; as CSV one table, in which `run` says whose a row
 * is. A run whose epochs.csv is no good is left out, with a complaint. */
int epochs_table(text_buffer *out, const run_list *runs, table_format format,
                 complaints *complaints, ls_error *error);

#endif
