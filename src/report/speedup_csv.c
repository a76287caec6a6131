#include "report/duration.h"
#include "report/lost.h"
#include "report/notes.h"
#include "report/speedup.h"

#include <math.h>

/* A value that was not measured is an empty cell. */
static void add_number(table *out, double value) {
    if (isnan(value))
        table_cell(out, "%s", "");
    else
        table_cell(out, "%.9g", value);
}

static void add_interval(table *out, interval value) {
    add_number(out, value.centre);
    add_number(out, value.low);
    add_number(out, value.high);
}

static void add_copied(table *out, const configuration *self, const char *const *columns) {
    for (; *columns; columns++)
        table_cell(out, "%s", configuration_text(self, *columns));
}

static void add_folders(table *out, const configuration *self) {
    text_buffer folders = {0};
    for (size_t index = 0; index < self->count; index++)
        text_add(&folders, "%s%s", index ? ";" : "", self->runs[index]->folder);
    out->failed |= folders.failed;
    table_cell(out, "%s", folders.bytes ? folders.bytes : "");
    text_free(&folders);
}

static void add_notes(table *out, const comparison *table, const compared *row) {
    row_notes notes;
    text_buffer text = {0};
    row_notes_make(&notes, table, row);
    for (size_t index = 0; index < notes.count; index++) {
        out->failed |= notes.list[index].failed;
        if (notes.list[index].bytes)
            text_add(&text, "%s%s", index ? " " : "", notes.list[index].bytes);
    }
    out->failed |= text.failed;
    table_cell(out, "%s", text.bytes ? text.bytes : "");
    text_free(&text);
    row_notes_free(&notes);
}

static void add_times(table *out, const configuration *self) {
    add_number(out, self->median_seconds);
    table_cell(out, "%s", duration(self->median_seconds).text);
    add_number(out, self->shortest);
    add_number(out, self->longest);
    add_number(out, configuration_spread(self));
    table_cell(out, "%d", is_noisy(self));
}

/* row NULL: the baseline's. */
static void add_row(table *out, const comparison *table, const compared *row) {
    static const char *const place[] = {"mode", "nodes", "ranks", "device", "rank_devices", NULL};
    static const char *const batch[] = {"global_batch", "batch_per_rank", "steps", NULL};
    const configuration *self = row ? row->self : table->baseline;
    interval ratio = row ? row->speedup.ratio : (interval){1, NAN, NAN};
    interval drift = row ? (interval){NAN, NAN, NAN} : configuration_drift(self);
    table_cell(out, "%s", scaling_name(table->scaling));
    table_cell(out, "%s", self->name);
    table_cell(out, "%d", !row);
    table_cell(out, "%zu", self->count);
    add_copied(out, self, place);
    add_times(out, self);
    add_interval(out, ratio);
    add_number(out, row ? (double)row->speedup.pairs : NAN);
    add_number(out, ratio.centre / finished_run_number(self->runs[0], "ranks"));
    add_number(out, self->median_images_per_second);
    add_copied(out, self, batch);
    add_number(out, configuration_median(self, "final_test_accuracy"));
    add_number(out, configuration_median(self, "peak_memory_maximum_bytes"));
    lost_csv_cells(out, table, row);
    add_interval(out, drift);
    table_cell(out, "%s", isnan(drift.low) ? "" : is_drifting(drift) ? "1" : "0");
    add_folders(out, self);
    add_notes(out, table, row);
}

void speedup_csv(text_buffer *out, const comparison_list *tables) {
    static const table_column columns[] = {
        {"scaling", true},
        {"configuration", true},
        {"baseline", false},
        {"repeats", false},
        {"mode", true},
        {"nodes", false},
        {"ranks", false},
        {"device", true},
        {"rank_devices", true},
        {"training_seconds", false},
        {"training_time", true},
        {"shortest_training_seconds", false},
        {"longest_training_seconds", false},
        {"spread", false},
        {"noisy", false},
        {"speedup", false},
        {"speedup_low", false},
        {"speedup_high", false},
        {"pairs", false},
        {"parallel_efficiency", false},
        {"images_per_second", false},
        {"global_batch", false},
        {"batch_per_rank", false},
        {"steps", false},
        {"final_test_accuracy", false},
        {"peak_memory_maximum_bytes", false},
        LOST_CSV_COLUMNS,
        {"drift_per_hour", false},
        {"drift_per_hour_low", false},
        {"drift_per_hour_high", false},
        {"drifting", false},
        {"runs", true},
        {"note", true},
    };
    table rows = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    for (size_t index = 0; index < tables->count; index++) {
        const comparison *self = &tables->items[index];
        add_row(&rows, self, NULL);
        for (size_t row = 0; row < self->count; row++)
            add_row(&rows, self, &self->rows[row]);
    }
    table_print(&rows, TABLE_CSV, "", out);
    table_free(&rows);
}
