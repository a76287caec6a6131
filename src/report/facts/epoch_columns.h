/* The columns of epochs.csv. */
#ifndef LOCKSTEP_REPORT_FACTS_EPOCH_COLUMNS_H
#define LOCKSTEP_REPORT_FACTS_EPOCH_COLUMNS_H

#include "base/error.h"
#include "report/facts/column.h"
#include "report/facts/records.h"

extern const column_table epoch_columns;
void epoch_add_row(text_buffer *out, const epoch_record *epoch);

/* The rows of a whole epochs.csv, also of a version with other columns; `ranks` is NULL in each.
 * `where` opens errors (LS_BAD_INPUT). The caller frees *out [*count]. */
int epoch_read_rows(const char *where, const char *text, size_t length, epoch_record **out,
                    int *count, ls_error *error);

#endif
