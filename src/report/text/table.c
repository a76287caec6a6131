#include "report/text/table.h"

#include "report/text/csv.h"

#include <stdlib.h>
#include <string.h>

void table_cell(table *self, const char *format, ...) {
    text_buffer cell = {0};
    va_list values;
    va_start(values, format);
    text_add_list(&cell, format, values);
    va_end(values);
    char **cells = realloc(self->cells, (self->cell_count + 1) * sizeof *cells);
    if (!cells || cell.failed) {
        self->failed = true;
        text_free(&cell);
    }
    if (cells)
        self->cells = cells;
    if (!self->failed)
        self->cells[self->cell_count++] = cell.bytes;
}

/* Characters, not bytes: UTF-8's continuation bytes take no column. */
static size_t display_width(const char *text) {
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void add_spaces(text_buffer *out, size_t count) {
    while (count-- > 0)
        text_add_bytes(out, " ", 1);
}

/* Text and Markdown are lines: a line break in a value must not end one, and a bar not a cell. */
static void add_printable(text_buffer *out, const char *cell, bool markdown) {
    for (; *cell; cell++) {
        unsigned char byte = (unsigned char)*cell;
        if (byte < 0x20 || byte == 0x7f)
            text_add_bytes(out, "?", 1);
        else if (markdown && byte == '|')
            text_add_bytes(out, "\\|", 2);
        else
            text_add_bytes(out, cell, 1);
    }
}

/* Row 0 is the titles. */
static const char *cell_at(const table *self, size_t row, size_t column) {
    return row == 0 ? self->columns[column].title
                    : self->cells[(row - 1) * self->column_count + column];
}

static size_t column_width(const table *self, size_t rows, size_t column) {
    size_t width = 0;
    for (size_t row = 0; row <= rows; row++) {
        size_t cell = display_width(cell_at(self, row, column));
        width = cell > width ? cell : width;
    }
    return width;
}

static void print_text_row(const table *self, size_t rows, size_t row, const char *indent,
                           text_buffer *out) {
    text_add(out, "%s", indent);
    size_t pending = 0; /* spaces owed: none at the end of a line */
    for (size_t column = 0; column < self->column_count; column++) {
        const char *cell = cell_at(self, row, column);
        size_t padding = column_width(self, rows, column) - display_width(cell);
        bool left = self->columns[column].left;
        if (*cell)
            add_spaces(out, pending + (left ? 0 : padding));
        add_printable(out, cell, false);
        size_t after = (left || !*cell ? padding : 0) + 2;
        pending = *cell ? after : pending + after;
    }
    text_add_bytes(out, "\n", 1);
}

static void print_markdown_row(const table *self, size_t row, text_buffer *out) {
    text_add_bytes(out, "|", 1);
    for (size_t column = 0; column < self->column_count; column++) {
        text_add_bytes(out, " ", 1);
        add_printable(out, cell_at(self, row, column), true);
        text_add_bytes(out, " |", 2);
    }
    text_add_bytes(out, "\n", 1);
}

static void print_markdown_rule(const table *self, text_buffer *out) {
    text_add_bytes(out, "|", 1);
    for (size_t column = 0; column < self->column_count; column++)
        text_add(out, "%s|", self->columns[column].left ? "---" : "---:");
    text_add_bytes(out, "\n", 1);
}

static void print_csv_row(const table *self, size_t row, text_buffer *out) {
    for (size_t column = 0; column < self->column_count; column++) {
        if (column)
            text_add_bytes(out, ",", 1);
        csv_quote(out, cell_at(self, row, column));
    }
    text_add_bytes(out, "\n", 1);
}

void table_print(const table *self, table_format format, const char *indent, text_buffer *out) {
    if (self->failed)
        out->failed = true;
    size_t rows = self->cell_count / self->column_count;
    for (size_t row = 0; row <= rows; row++) {
        if (format == TABLE_TEXT)
            print_text_row(self, rows, row, indent, out);
        else if (format == TABLE_MARKDOWN)
            print_markdown_row(self, row, out);
        else
            print_csv_row(self, row, out);
        if (format == TABLE_MARKDOWN && row == 0)
            print_markdown_rule(self, out);
    }
}

void table_free(table *self) {
    for (size_t index = 0; index < self->cell_count; index++)
        free(self->cells[index]);
    free(self->cells);
    self->cells = NULL;
    self->cell_count = 0;
}
