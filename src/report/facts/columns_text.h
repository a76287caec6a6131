/* results/COLUMNS.md: what the columns of a run's files are, made from their tables. */
#ifndef LOCKSTEP_REPORT_FACTS_COLUMNS_TEXT_H
#define LOCKSTEP_REPORT_FACTS_COLUMNS_TEXT_H

#include "base/text_buffer.h"

void columns_text(text_buffer *out);

#endif
