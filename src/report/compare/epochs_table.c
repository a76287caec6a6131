#include "report/compare/epochs_table.h"

#include "report/read/finished_epochs.h"
#include "report/text/duration.h"
#include "report/text/number.h"

#include <math.h>

static const table_column columns[] = {
    {"Epoch", false},           {"Train loss", false},       {"Train accuracy", false},
    {"Test loss", false},       {"Test accuracy", false},    {"Training time", false},
    {"Images a second", false}, {"Peak memory (MB)", false},
};

/* As the run's own files have them. */
static const table_column csv_columns[] = {
    {"run", true},
    {"epoch", false},
    {"train_loss", false},
    {"train_accuracy", false},
    {"test_loss", false},
    {"test_accuracy", false},
    {"training_seconds", false},
    {"images_per_second", false},
    {"peak_memory_maximum_bytes", false},
    {"gpu_peak_memory_maximum_bytes", false},
};

/* On a GPU that is where memory is short. */
static double memory_of(const finished_epoch *epoch) {
    return isnan(epoch->gpu_peak_memory_bytes) ? epoch->peak_memory_bytes
                                               : epoch->gpu_peak_memory_bytes;
}

static void add_epoch(table *out, size_t number_of, const finished_epoch *epoch) {
    table_cell(out, "%zu", number_of);
    table_cell(out, "%s", number(epoch->train_loss, 4).text);
    table_cell(out, "%s", percent(epoch->train_accuracy, 2).text);
    table_cell(out, "%s", number(epoch->test_loss, 4).text);
    table_cell(out, "%s", percent(epoch->test_accuracy, 2).text);
    table_cell(out, "%s", duration(epoch->training_seconds).text);
    table_cell(out, "%s", number(epoch->images / epoch->training_seconds, 1).text);
    table_cell(out, "%s", number(memory_of(epoch) / 1e6, 0).text);
}

static void add_values(table *out, const char *run, size_t number_of, const finished_epoch *epoch) {
    const double values[] = {epoch->train_loss,        epoch->train_accuracy,
                             epoch->test_loss,         epoch->test_accuracy,
                             epoch->training_seconds,  epoch->images / epoch->training_seconds,
                             epoch->peak_memory_bytes, epoch->gpu_peak_memory_bytes};
    table_cell(out, "%s", run);
    table_cell(out, "%zu", number_of);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (isnan(values[i]))
            table_cell(out, "%s", "");
        else
            table_cell(out, "%.9g", values[i]);
}

static void add_title(text_buffer *out, const finished_run *run, bool markdown) {
    const char *strong = markdown ? "**" : "";
    text_add(out, "%s%s%s: %s, mode %s, %s rank(s), device %s, %s, global batch %s\n%s", strong,
             run->folder, strong, finished_run_text(run, "model"), finished_run_text(run, "mode"),
             finished_run_text(run, "ranks"), finished_run_text(run, "device"),
             finished_run_text(run, "precision"), finished_run_text(run, "global_batch"),
             markdown ? "\n" : "");
}

static void add_run(text_buffer *out, const finished_run *run, const finished_epochs *epochs,
                    table_format format) {
    table rows = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    for (size_t index = 0; index < epochs->count; index++)
        add_epoch(&rows, index + 1, &epochs->items[index]);
    text_add(out, "%s", out->length > 0 ? "\n" : "");
    add_title(out, run, format == TABLE_MARKDOWN);
    table_print(&rows, format, "", out);
    table_free(&rows);
}

int epochs_table(text_buffer *out, const run_list *runs, table_format format,
                 complaints *complaints, ls_error *error) {
    table all = {.columns = csv_columns,
                 .column_count = sizeof csv_columns / sizeof csv_columns[0]};
    int status = LS_OK;
    for (size_t index = 0; status == LS_OK && index < runs->count; index++) {
        const finished_run *run = &runs->items[index];
        finished_epochs epochs;
        if (finished_epochs_read(&epochs, run, error) != LS_OK) {
            status = complaints_add(complaints, error);
            continue;
        }
        if (format != TABLE_CSV)
            add_run(out, run, &epochs, format);
        for (size_t row = 0; format == TABLE_CSV && row < epochs.count; row++)
            add_values(&all, run->folder, row + 1, &epochs.items[row]);
        finished_epochs_free(&epochs);
    }
    if (format == TABLE_CSV)
        table_print(&all, format, "", out);
    table_free(&all);
    return status;
}
