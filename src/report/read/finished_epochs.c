#include "report/read/finished_epochs.h"

#include "base/text_buffer.h"
#include "report/facts/epoch_columns.h"
#include "report/facts/files.h"

#include <math.h>
#include <stdlib.h>

/* The columns that are read, and where they go; the table says what each must be. */
static const struct {
    const char *column;
    size_t offset;
    bool new; /* a run of an older version lacks it */
} columns[] = {
    {.column = "training_seconds", .offset = offsetof(finished_epoch, training_seconds)},
    {.column = "images", .offset = offsetof(finished_epoch, images)},
    {.column = "evaluation_seconds", .offset = offsetof(finished_epoch, evaluation_seconds)},
    {.column = "train_loss", .offset = offsetof(finished_epoch, train_loss)},
    {.column = "train_accuracy", .offset = offsetof(finished_epoch, train_accuracy)},
    {.column = "test_loss", .offset = offsetof(finished_epoch, test_loss)},
    {.column = "test_accuracy", .offset = offsetof(finished_epoch, test_accuracy)},
    {.column = "peak_memory_maximum_bytes",
     .offset = offsetof(finished_epoch, peak_memory_bytes),
     .new = true},
    {.column = "gpu_peak_memory_maximum_bytes",
     .offset = offsetof(finished_epoch, gpu_peak_memory_bytes),
     .new = true},
    {.column = "gpu_energy_joules",
     .offset = offsetof(finished_epoch, gpu_energy_joules),
     .new = true},
    {.column = "cpu_energy_joules",
     .offset = offsetof(finished_epoch, cpu_energy_joules),
     .new = true},
};

static int read_value(const csv_table *table, const char *folder, size_t row, size_t index,
                      double *out, ls_error *error) {
    const char *name = columns[index].column;
    const char *text = csv_get(table, row, name);
    column_need need = column_find(&epoch_columns, name)->need;
    *out = NAN;
    if (!text && columns[index].new)
        return LS_OK;
    if (!text)
        return ls_fail(error, LS_BAD_INPUT, "%s/" EPOCHS_FILE ": column '%s' is missing", folder,
                       name);
    if (!column_fits(need, text))
        return ls_fail(error, LS_BAD_INPUT,
                       "%s/" EPOCHS_FILE ": line %zu: %s: expected %s, found '%.80s'", folder,
                       row + 2, name, column_expected(need), text);
    if (text[0])
        *out = parse_plain(text, NULL);
    return LS_OK;
}

static int read_rows(finished_epochs *out, const csv_table *table, const char *folder,
                     ls_error *error) {
    out->items = calloc(table->rows + 1, sizeof *out->items);
    if (!out->items)
        return ls_fail(error, LS_FAILED, "%s: no memory for its epochs", folder);
    for (size_t row = 0; row < table->rows; row++)
        for (size_t index = 0; index < sizeof columns / sizeof columns[0]; index++) {
            char *value = (char *)&out->items[row] + columns[index].offset;
            LS_TRY(read_value(table, folder, row, index, (double *)(void *)value, error));
        }
    out->count = table->rows;
    return LS_OK;
}

/* A file that was cut between two lines is a CSV file all the same. */
static int check_against_summary(const finished_epochs *self, const finished_run *run,
                                 ls_error *error) {
    double epochs = finished_run_number(run, "epochs"), sum = 0;
    double training = finished_run_number(run, "training_seconds");
    if ((double)self->count != epochs)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s/" EPOCHS_FILE ": expected %.0f epochs, as " SUMMARY_FILE
                       " has it, found %zu",
                       run->folder, epochs, self->count);
    for (size_t index = 0; index < self->count; index++)
        sum += self->items[index].training_seconds;
    if (fabs(sum - training) > 1e-6 * training)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s/" EPOCHS_FILE ": its training times add up to %.9g s, but " SUMMARY_FILE
                       " has %.9g s: one of them was changed after the run",
                       run->folder, sum, training);
    return LS_OK;
}

int finished_epochs_read(finished_epochs *out, const finished_run *run, ls_error *error) {
    char path[4200];
    csv_table table;
    *out = (finished_epochs){0};
    format_plain(path, sizeof path, "%s/" EPOCHS_FILE, run->folder);
    LS_TRY(csv_read(&table, path, error));
    int status = read_rows(out, &table, run->folder, error);
    csv_free(&table);
    if (status == LS_OK)
        status = check_against_summary(out, run, error);
    if (status != LS_OK)
        finished_epochs_free(out);
    return status;
}

void finished_epochs_free(finished_epochs *self) {
    free(self->items);
    *self = (finished_epochs){0};
}
