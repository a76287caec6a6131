#include "report/text/csv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No file that this program writes comes near; a larger one is somebody else's. */
enum { LARGEST_BYTES = 64 << 20 };

typedef struct parser {
    const char *name;
    csv_table *table;
    char *at, *end;
    size_t line, count, capacity; /* cells so far, room for cells */
} parser;

static int broken(const parser *self, ls_error *error, const char *what) {
    return ls_fail(error, LS_BAD_INPUT, "%s: line %zu: %s", self->name, self->line, what);
}

static int keep_cell(parser *self, char *cell, ls_error *error) {
    if (self->count == self->capacity) {
        size_t capacity = self->capacity ? 2 * self->capacity : 128;
        char **cells = realloc(self->table->cells, capacity * sizeof *cells);
        if (!cells)
            return ls_fail(error, LS_FAILED, "%s: no memory to read it", self->name);
        self->table->cells = cells;
        self->capacity = capacity;
    }
    self->table->cells[self->count++] = cell;
    return LS_OK;
}

/* A quoted value is unquoted in place: it only ever gets shorter. */
static int quoted_cell(parser *self, ls_error *error) {
    char *start = self->at, *to = self->at;
    for (self->at++; self->at < self->end; self->at++) {
        if (*self->at == '"') {
            if (self->at + 1 >= self->end || self->at[1] != '"')
                break;
            self->at++;
        }
        self->line += *self->at == '\n';
        *to++ = *self->at;
    }
    if (self->at >= self->end)
        return broken(self, error, "a quote has no end");
    self->at++;
    if (self->at < self->end && !strchr(",\r\n", *self->at))
        return broken(self, error, "text after a closing quote");
    *to = '\0';
    return keep_cell(self, start, error);
}

static int plain_cell(parser *self, ls_error *error) {
    char *start = self->at;
    while (self->at < self->end && !strchr(",\r\n\"", *self->at))
        self->at++;
    if (self->at < self->end && *self->at == '"')
        return broken(self, error, "a quote inside a value without quotes");
    return keep_cell(self, start, error);
}

/* One cell and what follows it; *row_ends says whether that was a line break. */
static int cell(parser *self, int *row_ends, ls_error *error) {
    if (self->at < self->end && *self->at == '"')
        LS_TRY(quoted_cell(self, error));
    else
        LS_TRY(plain_cell(self, error));
    if (self->at >= self->end)
        return broken(self, error, "the file ends in the middle of a line: it was cut");
    char *separator = self->at++;
    if (*separator == '\r') {
        if (self->at >= self->end || *self->at != '\n')
            return broken(self, error, "a carriage return without a line feed");
        self->at++;
    }
    *row_ends = *separator != ',';
    *separator = '\0';
    return LS_OK;
}

/* Spreadsheets of other locales separate by semicolons, with decimal commas between them. */
static int check_separator(const parser *self, ls_error *error) {
    const char *header = self->table->cells[0];
    if (self->table->columns > 1 || !strpbrk(header, ";\t"))
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: values are separated by %s: expected commas, and points in numbers, as "
                   "lockstep wrote them (save it so, or take the run's own file)",
                   self->name, strchr(header, ';') ? "semicolons" : "tabs");
}

static int row(parser *self, ls_error *error) {
    size_t first = self->count;
    for (int ends = 0; !ends;)
        LS_TRY(cell(self, &ends, error));
    size_t found = self->count - first;
    csv_table *table = self->table;
    if (table->columns == 0) {
        table->columns = found;
        LS_TRY(check_separator(self, error));
    } else if (found != table->columns)
        return ls_fail(error, LS_BAD_INPUT, "%s: line %zu: expected %zu values, found %zu%s",
                       self->name, self->line, table->columns, found,
                       found > table->columns ? " (decimal commas? lockstep writes points)" : "");
    else
        table->rows++;
    self->line++;
    return LS_OK;
}

static int check_names(const parser *self, ls_error *error) {
    const csv_table *table = self->table;
    for (size_t a = 0; a < table->columns; a++)
        for (size_t b = 0; b < a; b++)
            if (strcmp(table->cells[a], table->cells[b]) == 0)
                return ls_fail(error, LS_BAD_INPUT, "%s: column '%.80s' stands twice", self->name,
                               table->cells[a]);
    return LS_OK;
}

static int parse(parser *self, ls_error *error) {
    if (memchr(self->at, '\0', (size_t)(self->end - self->at)))
        return ls_fail(error, LS_BAD_INPUT, "%s: not a CSV file: it has a NUL byte", self->name);
    /* Spreadsheets put a byte-order mark in front when they save. */
    if (self->end - self->at >= 3 && memcmp(self->at, "\xef\xbb\xbf", 3) == 0)
        self->at += 3;
    if (self->at == self->end)
        return ls_fail(error, LS_BAD_INPUT, "%s: the file is empty", self->name);
    while (self->at < self->end)
        LS_TRY(row(self, error));
    return check_names(self, error);
}

int csv_parse(csv_table *out, const char *name, const char *bytes, size_t length, ls_error *error) {
    *out = (csv_table){.text = malloc(length + 1)};
    if (!out->text)
        return ls_fail(error, LS_FAILED, "%s: no memory to read it", name);
    memcpy(out->text, bytes, length);
    out->text[length] = '\0';
    parser self = {
        .name = name, .table = out, .at = out->text, .end = out->text + length, .line = 1};
    int status = parse(&self, error);
    if (status != LS_OK)
        csv_free(out);
    return status;
}

static int read_all(FILE *file, const char *path, text_buffer *out, ls_error *error) {
    char block[65536];
    size_t count;
    while ((count = fread(block, 1, sizeof block, file)) > 0) {
        text_add_bytes(out, block, count);
        if (out->length > LARGEST_BYTES)
            return ls_fail(error, LS_BAD_INPUT, "%s: larger than %d MiB: not a file of lockstep's",
                           path, LARGEST_BYTES >> 20);
    }
    if (ferror(file))
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", path);
    return text_buffer_check(out, error);
}

int csv_read(csv_table *out, const char *path, ls_error *error) {
    *out = (csv_table){0};
    FILE *file = fopen(path, "rbe");
    if (!file)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", path);
    text_buffer bytes = {0};
    int status = read_all(file, path, &bytes, error);
    fclose(file);
    if (status == LS_OK)
        status = csv_parse(out, path, bytes.bytes ? bytes.bytes : "", bytes.length, error);
    text_free(&bytes);
    return status;
}

void csv_free(csv_table *self) {
    free(self->text);
    free(self->cells);
    *self = (csv_table){0};
}

const char *csv_get(const csv_table *self, size_t row, const char *column) {
    for (size_t index = 0; index < self->columns; index++)
        if (strcmp(self->cells[index], column) == 0)
            return self->cells[(row + 1) * self->columns + index];
    return NULL;
}
