/* A table of cells: as aligned text, as Markdown, as CSV. */
#ifndef LOCKSTEP_REPORT_TEXT_TABLE_H
#define LOCKSTEP_REPORT_TEXT_TABLE_H

#include "base/text_buffer.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum { TABLE_TEXT, TABLE_MARKDOWN, TABLE_CSV } table_format;

typedef struct table_column {
    const char *title;
    bool left; /* words are aligned left, numbers right */
} table_column;

typedef struct table {
    const table_column *columns; /* [column_count], the caller's */
    size_t column_count;
    char **cells; /* [cell_count], row by row */
    size_t cell_count;
    bool failed; /* no memory */
} table;

/* Adds the next cell; a row is complete after column_count of them. */
void table_cell(table *self, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Complete rows only. `indent` stands in front of each line of text. */
void table_print(const table *self, table_format format, const char *indent, text_buffer *out);

void table_free(table *self);

#endif
