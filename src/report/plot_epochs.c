#include "report/plot_epochs.h"

#include "report/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 4 };

static const char *const columns[COLUMNS] = {"train_loss", "test_loss", "train_accuracy",
                                             "test_accuracy"};

/* Empty: not measured. */
static int read_number(double *out, const csv_table *table, size_t row, const char *column,
                       const char *path, ls_error *error) {
    char *end = NULL;
    const char *text = csv_get(table, row, column);
    if (!text)
        return ls_fail(error, LS_BAD_INPUT, "%s: column '%s' is missing", path, column);
    *out = parse_plain(text, &end);
    if (text[0] == '\0')
        *out = NAN;
    else if (end == text || *end != '\0' || !isfinite(*out))
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: %s of row %zu: expected a number or nothing, found '%.80s'", path,
                       column, row + 1, text);
    return LS_OK;
}

static int check_rows(const csv_table *table, const finished_run *run, const char *path,
                      ls_error *error) {
    double expected = finished_run_number(run, "epochs");
    if ((double)table->rows != expected)
        return ls_fail(error, LS_BAD_INPUT, "%s: holds %zu epochs, but " SUMMARY_FILE " %.0f", path,
                       table->rows, expected);
    return LS_OK;
}

static int read_rows(run_epochs *out, const csv_table *table, const char *path, ls_error *error) {
    out->count = table->rows;
    out->numbers = calloc(COLUMNS * out->count, sizeof *out->numbers);
    if (!out->numbers)
        return ls_fail(error, LS_FAILED, "%s: no memory for its epochs", path);
    for (int column = 0; column < COLUMNS; column++)
        for (size_t row = 0; row < out->count; row++)
            LS_TRY(read_number(out->numbers + (size_t)column * out->count + row, table, row,
                               columns[column], path, error));
    out->loss = (plot_run){out->count, {out->numbers, out->numbers + out->count}};
    out->accuracy =
        (plot_run){out->count, {out->numbers + 2 * out->count, out->numbers + 3 * out->count}};
    return LS_OK;
}

int run_epochs_read(run_epochs *out, const finished_run *run, ls_error *error) {
    csv_table table = {0};
    char path[4200];
    *out = (run_epochs){0};
    format_plain(path, sizeof path, "%.4096s/" EPOCHS_FILE, run->folder);
    int status = csv_read(&table, path, error);
    if (status == LS_OK)
        status = check_rows(&table, run, path, error);
    if (status == LS_OK)
        status = read_rows(out, &table, path, error);
    csv_free(&table);
    if (status != LS_OK)
        run_epochs_free(out);
    return status;
}

void run_epochs_free(run_epochs *self) {
    free(self->numbers);
    *self = (run_epochs){0};
}
