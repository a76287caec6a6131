#include "report/compare/lost.h"
#include "report/compare/notes.h"
#include "report/compare/speedup.h"
#include "report/text/duration.h"

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

/* A row: a configuration in one of the tables. */
typedef struct line {
    const char *scaling;
    const configuration *self;
    bool baseline;
    measured_speedup speedup;
    comparison table; /* where it stands; of a target's only who it is about */
    const compared *row;
    const target_row *target; /* NULL in the tables of scaling */
    double accuracy;
    text_buffer note;
} line;

static void add_times(table *out, const configuration *self) {
    add_number(out, self->median_seconds);
    table_cell(out, "%s", duration(self->median_seconds).text);
    add_number(out, self->shortest);
    add_number(out, self->longest);
    add_number(out, configuration_spread(self));
    table_cell(out, "%d", is_noisy(self));
}

static void add_target(table *out, const line *self) {
    const target_row *target = self->target;
    add_number(out, target ? self->accuracy : NAN);
    add_number(out, target ? (double)target->reached : NAN);
    add_number(out, target ? target->seconds : NAN);
    add_number(out, target ? target->images : NAN);
    add_number(out, target ? target->epochs : NAN);
    add_number(out, target ? target->evaluation_seconds : NAN);
    add_number(out, target ? target->gpu_joules : NAN);
    add_number(out, target ? target->cpu_joules : NAN);
}

/* Takes the note. */
static void add_line(table *out, line *self) {
    static const char *const place[] = {"mode", "nodes", "ranks", "device", "rank_devices", NULL};
    static const char *const batch[] = {"global_batch", "batch_per_rank", "steps", NULL};
    interval none = {NAN, NAN, NAN}, ratio = self->speedup.ratio;
    interval drift = self->baseline ? configuration_drift(self->self) : none;
    double ranks = finished_run_number(self->self->runs[0], "ranks");
    table_cell(out, "%s", self->scaling);
    table_cell(out, "%s", self->self->name);
    table_cell(out, "%d", self->baseline);
    table_cell(out, "%zu", self->self->count);
    add_copied(out, self->self, place);
    add_times(out, self->self);
    add_interval(out, ratio);
    add_number(out, self->baseline ? NAN : (double)self->speedup.pairs);
    add_number(out, ratio.centre / ranks);
    add_number(out, self->self->median_images_per_second);
    add_copied(out, self->self, batch);
    add_number(out, configuration_median(self->self, "final_test_accuracy"));
    add_number(out, configuration_median(self->self, "peak_memory_maximum_bytes"));
    lost_csv_cells(out, &self->table, self->row);
    add_interval(out, drift);
    table_cell(out, "%s", isnan(drift.low) ? "" : is_drifting(drift) ? "1" : "0");
    add_target(out, self);
    add_folders(out, self->self);
    out->failed |= self->note.failed;
    table_cell(out, "%s", self->note.bytes ? self->note.bytes : "");
    text_free(&self->note);
}

/* row NULL: the baseline's. */
static void add_row(table *out, const comparison *from, const compared *row) {
    line self = {.scaling = scaling_name(from->scaling),
                 .self = row ? row->self : from->baseline,
                 .baseline = !row,
                 .table = *from,
                 .row = row,
                 .speedup = row ? row->speedup : (measured_speedup){.ratio = {1, NAN, NAN}}};
    row_notes notes;
    row_notes_make(&notes, from, row);
    for (size_t index = 0; index < notes.count; index++) {
        out->failed |= notes.list[index].failed;
        text_add(&self.note, "%s%s", index ? " " : "",
                 notes.list[index].bytes ? notes.list[index].bytes : "");
    }
    row_notes_free(&notes);
    add_line(out, &self);
}

static void add_target_row(table *out, const target_table *from, size_t row) {
    bool baseline = from->baselines[row] == row;
    line self = {.scaling = "target",
                 .self = from->rows[row].self,
                 .baseline = baseline,
                 .speedup = from->rows[row].speedup,
                 .table = {.baseline = from->rows[row].self},
                 .target = &from->rows[row],
                 .accuracy = from->accuracy};
    if (baseline)
        self.speedup.ratio.centre = 1;
    target_add_notes(&self.note, from, row);
    add_line(out, &self);
}

void speedup_csv(text_buffer *out, const comparison_list *tables, const target_table *target) {
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
        {"target_accuracy", false},
        {"target_reached", false},
        {"target_seconds", false},
        {"target_images", false},
        {"target_epochs", false},
        {"target_evaluation_seconds", false},
        {"target_gpu_joules", false},
        {"target_cpu_joules", false},
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
    for (size_t row = 0; target && row < target->count; row++)
        add_target_row(&rows, target, row);
    table_print(&rows, TABLE_CSV, "", out);
    table_free(&rows);
}
