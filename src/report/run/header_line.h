/* A line of a run's header, made from the facts by the text in the table (facts/column.h `line`):
 *
 *     {name}    the value of that column; a REAL with six digits
 *     {s}       "s" unless the last value was 1
 *     {?name}   nothing, but a condition for what stands in the same brackets
 *     [...]     left out where a value in it is empty, or a condition empty, 0 or none
 */
#ifndef LOCKSTEP_REPORT_RUN_HEADER_LINE_H
#define LOCKSTEP_REPORT_RUN_HEADER_LINE_H

#include "report/facts/facts.h"

/* "label   text", left out where the text is empty. `lead`: a column that has a label. */
void header_line_add(text_buffer *out, const run_facts *facts, const column *lead);

#endif
