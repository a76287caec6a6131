#include "report/compare/notes.h"
#include "report/compare/speedup.h"
#include "report/compare/target.h"
#include "report/text/duration.h"
#include "report/text/number.h"

#include <math.h>

/* " [1]": the number of a note, where there is one. */
static void add_note(text_buffer *marks, footnotes *notes, const char *format, ...) {
    text_buffer text = {0};
    va_list values;
    va_start(values, format);
    text_add_list(&text, format, values);
    va_end(values);
    marks->failed |= text.failed;
    if (text.bytes)
        text_add(marks, "%s[%zu]", marks->length ? "" : " ", footnote(notes, text.bytes));
    text_free(&text);
}

static void add_notes(text_buffer *marks, footnotes *notes, const target_table *self,
                      const target_row *row, bool baseline) {
    size_t read = row->self->count - row->unread;
    if (row->unread > 0)
        add_note(marks, notes, "%zu of %zu runs have no epochs.csv that could be read.",
                 row->unread, row->self->count);
    if (row->reached < read)
        add_note(marks, notes,
                 "%zu of %zu runs never reached it (the best test accuracy of any is %s).",
                 read - row->reached, read, percent(row->best_accuracy, 2).text);
    if (!baseline && row->speedup.pairs == 0)
        add_note(marks, notes,
                 "No speedup: that takes runs of which all reached %s, of the baseline too; the "
                 "ratio of those that did would be too good.",
                 percent(self->accuracy, 2).text);
    if (row->speedup.pairs == 1)
        add_note(marks, notes, "One pair of runs: a ratio without an interval.");
    if (row->speedup.ratio.low <= 1 && row->speedup.ratio.high >= 1)
        add_note(marks, notes,
                 "The interval holds 1: these runs show no difference from the baseline.");
}

void target_add_notes(text_buffer *out, const target_table *self, size_t row) {
    footnotes notes = {0};
    text_buffer marks = {0};
    add_notes(&marks, &notes, self, &self->rows[row], self->baselines[row] == row);
    out->failed |= marks.failed;
    for (size_t index = 0; index < notes.count; index++)
        text_add(out, "%s%s", index ? " " : "", notes.list[index]);
    text_free(&marks);
    footnotes_free(&notes);
}

static void add_ratio(table *out, const target_row *row, bool baseline, const char *marks) {
    interval ratio = row->speedup.ratio;
    if (baseline)
        table_cell(out, "baseline%s", marks);
    else if (row->speedup.pairs == 0)
        table_cell(out, "-%s", marks);
    else
        table_cell(out, "%.2fx%s", ratio.centre, marks);
    if (isnan(ratio.low) || row->speedup.pairs < 2)
        table_cell(out, "%s", baseline ? "" : "-");
    else
        table_cell(out, "%.2f to %.2f", ratio.low, ratio.high);
    if (baseline)
        table_cell(out, "%s", "");
    else
        table_cell(out, "%zu", row->speedup.pairs);
}

static bool has_energy(const target_table *self) {
    for (size_t index = 0; index < self->count; index++)
        if (!isnan(self->rows[index].gpu_joules) || !isnan(self->rows[index].cpu_joules))
            return true;
    return false;
}

/* "2500.0 J GPUs, 812.3 J CPUs"; what was not measured is left out. */
static void add_energy(table *out, const target_row *row) {
    double gpu = row->gpu_joules, cpu = row->cpu_joules;
    text_buffer text = {0};
    if (!isnan(gpu))
        text_add(&text, "%s J GPUs", number(gpu, 1).text);
    if (!isnan(cpu))
        text_add(&text, "%s%s J CPUs", text.length ? ", " : "", number(cpu, 1).text);
    table_cell(out, "%s", text.bytes ? text.bytes : "-");
    text_free(&text);
}

static void add_row(table *out, const target_table *self, size_t index, footnotes *notes) {
    const target_row *row = &self->rows[index];
    bool baseline = self->baselines[index] == index;
    text_buffer marks = {0};
    add_notes(&marks, notes, self, row, baseline);
    out->failed |= marks.failed;
    table_cell(out, "%s", row->self->name);
    table_cell(out, "%s", configuration_text(row->self, "global_batch"));
    table_cell(out, "%zu of %zu", row->reached, row->self->count);
    table_cell(out, "%s", duration(row->seconds).text);
    table_cell(out, "%s", number(row->seconds, 2).text);
    add_ratio(out, row, baseline, marks.bytes ? marks.bytes : "");
    table_cell(out, "%s", number(row->images, 0).text);
    table_cell(out, "%s", number(row->epochs, fmod(row->epochs, 1) == 0 ? 0 : 1).text);
    table_cell(out, "%s", duration(row->evaluation_seconds).text);
    if (has_energy(self))
        add_energy(out, row);
    text_free(&marks);
}

void target_text(text_buffer *out, const target_table *self, table_format format) {
    static const table_column columns[] = {
        {"Configuration", true},  {"Global batch", false}, {"Reached by", false},
        {"Training time", false}, {"Seconds", false},      {"Speedup", false},
        {"95% interval", false},  {"Pairs", false},        {"Images", false},
        {"Epochs", false},        {"Evaluation", false},   {"Energy", false},
    };
    int column_count = sizeof columns / sizeof columns[0] - (has_energy(self) ? 0 : 1);
    const char *strong = format == TABLE_MARKDOWN ? "**" : "";
    table rows = {.columns = columns, .column_count = column_count};
    footnotes notes = {0};
    for (size_t index = 0; index < self->count; index++)
        add_row(&rows, self, index, &notes);
    text_add(out, "%sTime to accuracy%s: until test accuracy first reached %s\n%s", strong, strong,
             percent(self->accuracy, 2).text, format == TABLE_MARKDOWN ? "\n" : "");
    if (self->count > 0)
        add_facts(out, self->rows[0].self);
    table_print(&rows, format, "", out);
    text_add(out,
             "\nTraining time, images and epochs up to the end of that epoch; medians over the "
             "runs that reached it. Evaluation is no part of the time: its own stands beside "
             "it. Batches differ here as they were run: that is what this table compares.\n");
    if (has_energy(self))
        text_add(out, "\nEnergy: of that training time, by the GPUs' counters and by those of all "
                      "CPU packages of the hosts; what could not be measured is not there.\n");
    add_footnotes(out, &notes);
    table_free(&rows);
    footnotes_free(&notes);
}
