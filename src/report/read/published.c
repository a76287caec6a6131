#include "report/read/published.h"

#include "base/text_buffer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum { WORDS, NEEDED_WORDS, AMOUNT, NUMBER, FRACTION } value_kind;

static const struct {
    const char *name;
    value_kind kind;
    size_t offset;
    double factor; /* from the file's unit to the row's */
} columns[] = {
    {"configuration", NEEDED_WORDS, offsetof(published_row, configuration), 1},
    {"batch_per_rank", AMOUNT, offsetof(published_row, batch_per_rank), 1},
    {"images_per_second", AMOUNT, offsetof(published_row, images_per_second), 1},
    {"peak_memory_gb", AMOUNT, offsetof(published_row, peak_memory_bytes), 1e9},
    {"training_seconds", AMOUNT, offsetof(published_row, training_seconds), 1},
    {"final_train_loss", NUMBER, offsetof(published_row, final_train_loss), 1},
    {"test_accuracy", FRACTION, offsetof(published_row, test_accuracy), 1},
    {"hardware", WORDS, offsetof(published_row, hardware), 1},
    {"source", NEEDED_WORDS, offsetof(published_row, source), 1},
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

static bool is_possible(value_kind kind, double value) {
    return isfinite(value) && (kind == NUMBER || (kind == AMOUNT && value > 0) ||
                               (kind == FRACTION && value >= 0 && value <= 1));
}

static int read_number(double *out, size_t column, const char *text, const char *where,
                       ls_error *error) {
    static const char *const expected[] = {
        [AMOUNT] = "a number above 0", [NUMBER] = "a number", [FRACTION] = "a number from 0 to 1"};
    char *end = NULL;
    *out = NAN;
    if (!text[0])
        return LS_OK;
    double value = parse_plain(text, &end);
    if (end == text || *end || !is_possible(columns[column].kind, value))
        return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected %s, or nothing, found '%.80s'", where,
                       columns[column].name, expected[columns[column].kind], text);
    *out = value * columns[column].factor;
    return LS_OK;
}

static int read_row(published *self, const char *path, size_t row, ls_error *error) {
    char where[4200];
    format_plain(where, sizeof where, "%.4000s: row %zu", path, row + 1);
    for (size_t column = 0; column < COLUMNS; column++) {
        const char *text = csv_get(&self->table, row, columns[column].name);
        void *place = (char *)&self->rows[row] + columns[column].offset;
        if (columns[column].kind == NEEDED_WORDS && !text[0])
            return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected a text, found nothing", where,
                           columns[column].name);
        if (columns[column].kind <= NEEDED_WORDS)
            memcpy(place, &text, sizeof text);
        else
            LS_TRY(read_number(place, column, text, where, error));
    }
    return LS_OK;
}

/* A column that is misspelt would be taken for one that was not published. */
static int check_columns(const csv_table *table, const char *path, ls_error *error) {
    for (size_t column = 0; column < COLUMNS; column++) {
        size_t at = 0;
        while (at < table->columns && strcmp(table->cells[at], columns[column].name) != 0)
            at++;
        if (at == table->columns)
            return ls_fail(error, LS_BAD_INPUT, "%s: column '%s' is missing", path,
                           columns[column].name);
    }
    for (size_t at = 0; at < table->columns; at++) {
        size_t column = 0;
        while (column < COLUMNS && strcmp(table->cells[at], columns[column].name) != 0)
            column++;
        if (column == COLUMNS)
            return ls_fail(error, LS_BAD_INPUT, "%s: column '%.80s' is unknown", path,
                           table->cells[at]);
    }
    return LS_OK;
}

static int read_all(published *self, const char *path, ls_error *error) {
    LS_TRY(check_columns(&self->table, path, error));
    if (self->table.rows == 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected rows, found none", path);
    self->rows = calloc(self->table.rows, sizeof *self->rows);
    if (!self->rows)
        return ls_fail(error, LS_FAILED, "%s: out of memory", path);
    self->count = self->table.rows;
    for (size_t row = 0; row < self->count; row++)
        LS_TRY(read_row(self, path, row, error));
    return LS_OK;
}

int published_read(published *out, const char *path, ls_error *error) {
    *out = (published){0};
    LS_TRY(csv_read(&out->table, path, error));
    int status = read_all(out, path, error);
    if (status != LS_OK)
        published_free(out);
    return status;
}

void published_free(published *self) {
    csv_free(&self->table);
    free(self->rows);
    *self = (published){0};
}
