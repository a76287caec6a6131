/* CSV as RFC 4180 has it (with LF for CRLF, which readers take too): a header row, quotes around a
 * value with a comma, a quote or a line break, quotes inside doubled. */
#ifndef LOCKSTEP_REPORT_TEXT_CSV_H
#define LOCKSTEP_REPORT_TEXT_CSV_H

#include "base/error.h"
#include "base/text_buffer.h"

#include <stddef.h>
#include <stdint.h>

/* A row that is being written: each value is added beside the name of its column. */
typedef struct csv_row {
    text_buffer names, values;
} csv_row;

void csv_put_text(csv_row *self, const char *column, const char *value);
void csv_put_integer(csv_row *self, const char *column, int64_t value);
void csv_put_number(csv_row *self, const char *column, double value); /* NAN: empty; %.9g */
void csv_row_free(csv_row *self);

/* Adds one value, quoted where it must be. */
void csv_quote(text_buffer *out, const char *value);

/* A table that was read. */
typedef struct csv_table {
    char *text;   /* owned; the cells point into it */
    char **cells; /* [(rows + 1) * columns], the header first */
    size_t columns, rows;
} csv_table;

/* Parses `length` bytes; `name` stands in the errors. A quote without its end, text after a closing
 * quote, rows of different lengths, a column named twice, a NUL byte, and a last line without its
 * line break (a cut file) are LS_BAD_INPUT. */
int csv_parse(csv_table *out, const char *name, const char *bytes, size_t length, ls_error *error);
int csv_read(csv_table *out, const char *path, ls_error *error);
void csv_free(csv_table *self);

/* The value of a column by its name; NULL where there is no such column. */
const char *csv_get(const csv_table *self, size_t row, const char *column);

#endif
