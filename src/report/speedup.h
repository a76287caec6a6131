/* The speedup table of runs that may be compared. */
#ifndef LOCKSTEP_REPORT_SPEEDUP_H
#define LOCKSTEP_REPORT_SPEEDUP_H

#include "report/comparable.h"
#include "report/table.h"
#include "report/text_buffer.h"

/* The baseline's row first, then the others in their order. In text and Markdown a title, the
 * facts that all runs share and the footnotes stand around it; in CSV each row carries them. */
void speedup_text(text_buffer *out, const finished_run *runs, size_t count, size_t baseline,
                  scaling_kind scaling, table_format format);

#endif
