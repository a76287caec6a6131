/* The lines that a run prints: header, a line an epoch, closing table. */
#ifndef LOCKSTEP_REPORT_RUN_RUN_TEXT_H
#define LOCKSTEP_REPORT_RUN_RUN_TEXT_H

#include "base/text_buffer.h"
#include "report/facts/records.h"

void header_text(text_buffer *out, const run_facts *facts);
void epoch_titles_text(text_buffer *out);
void epoch_text(text_buffer *out, const epoch_record *epoch);
/* What --ablate left out, and so what the times are not; "" where nothing was. */
const char *ablated_text(const run_facts *facts);
void closing_text(text_buffer *out, const run_facts *facts, const run_totals *totals);

#endif
