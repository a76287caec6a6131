/* The columns of ranks.csv and of gpu.csv. */
#ifndef LOCKSTEP_REPORT_FACTS_RANK_COLUMNS_H
#define LOCKSTEP_REPORT_FACTS_RANK_COLUMNS_H

#include "report/facts/column.h"
#include "report/facts/records.h"
#include "report/text/csv.h"

extern const column_table rank_columns;
void rank_add_row(text_buffer *out, int epoch, const rank_facts *facts, const rank_epoch *rank);
/* Read back, what has a need; all that has none is zero. LS_BAD_INPUT with "column: expected ...,
 * found ...". */
int rank_take_row(const csv_table *file, size_t row, rank_facts *facts, rank_epoch *rank,
                  ls_error *error);

extern const column_table sample_columns;
void sample_add_row(text_buffer *out, int rank, const usage_sample *sample);

#endif
