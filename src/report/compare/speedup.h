/* The speedup tables of runs that may be compared. */
#ifndef LOCKSTEP_REPORT_COMPARE_SPEEDUP_H
#define LOCKSTEP_REPORT_COMPARE_SPEEDUP_H

#include "base/text_buffer.h"
#include "report/compare/comparison.h"
#include "report/compare/target.h"
#include "report/text/table.h"

/* One table as text or Markdown: the baseline's row first; around them a title that says which kind
 * of scaling it is, the facts that the runs share, the footnotes, the machine's drift. */
void speedup_text(text_buffer *out, const comparison *table, table_format format);

/* What a table says above its rows: the baseline's facts. */
void add_facts(text_buffer *out, const configuration *baseline);

/* speedup_csv.c: all tables as one CSV table, a row a configuration and table, with its notes.
 * target NULL: none was asked for. */
void speedup_csv(text_buffer *out, const comparison_list *tables, const target_table *target);

#endif
