#include "report/compare/speedup.h"

#include "report/compare/notes.h"
#include "report/text/duration.h"
#include "report/text/number.h"

#include <math.h>
#include <string.h>

static const char *or_dash(const char *text) {
    return text[0] ? text : "-";
}

/* Speedup, interval, pairs, efficiency: of a row against the baseline. */
static void add_ratio_cells(table *out, const compared *row, const char *marks) {
    interval ratio = row->speedup.ratio;
    table_cell(out, "%.2fx%s", ratio.centre, marks);
    if (isnan(ratio.low))
        table_cell(out, "-");
    else
        table_cell(out, "%.2f to %.2f", ratio.low, ratio.high);
    table_cell(out, "%zu", row->speedup.pairs);
    double ranks = finished_run_number(row->self->runs[0], "ranks");
    table_cell(out, "%s", percent(ratio.centre / ranks, 1).text);
}

/* row NULL: the baseline's. */
static void add_row(table *out, const comparison *table, const compared *row, footnotes *notes) {
    const configuration *self = row ? row->self : table->baseline;
    row_notes own;
    text_buffer marks = {0};
    row_notes_make(&own, table, row);
    add_marks(&marks, notes, &own);
    out->failed |= marks.failed;
    const char *marked = marks.bytes ? marks.bytes : "";
    table_cell(out, "%s", self->name);
    table_cell(out, "%zu", self->count);
    table_cell(out, "%s", duration(self->median_seconds).text);
    table_cell(out, "%.2f", self->median_seconds);
    if (row) {
        add_ratio_cells(out, row, marked);
    } else {
        table_cell(out, "baseline%s", marked);
        for (int cell = 0; cell < 3; cell++)
            table_cell(out, "%s", "");
    }
    table_cell(out, "%s", number(self->median_images_per_second, 1).text);
    table_cell(out, "%s", configuration_text(self, "global_batch"));
    table_cell(out, "%s", or_dash(configuration_text(self, "batch_per_rank")));
    table_cell(out, "%s", configuration_text(self, "steps"));
    table_cell(out, "%s", percent(configuration_median(self, "final_test_accuracy"), 2).text);
    double memory = configuration_median(self, "peak_memory_maximum_bytes");
    table_cell(out, "%s%s", number(memory / 1e6, 1).text, isnan(memory) ? "" : " MB");
    row_notes_free(&own);
    text_free(&marks);
}

static void add_title(text_buffer *out, const comparison *self, table_format format) {
    const char *strong = format == TABLE_MARKDOWN ? "**" : "";
    const char *batch = configuration_text(self->baseline, "global_batch");
    const char *per_rank = configuration_text(self->baseline, "batch_per_rank");
    switch (self->scaling) {
    case SCALING_STRONG:
        text_add(out, "%sStrong scaling%s: the global batch is %s in every run\n", strong, strong,
                 batch);
        break;
    case SCALING_WEAK:
        text_add(out, "%sWeak scaling in the batch%s: %s images a rank in every run\n", strong,
                 strong, per_rank);
        break;
    case SCALING_UNLIKE:
        text_add(out, "%sUnlike batches%s: neither strong nor weak scaling\n", strong, strong);
        break;
    case SCALING_NONE:
        text_add(out, "%sOne configuration%s: nothing to compare it with\n", strong, strong);
    }
    if (format == TABLE_MARKDOWN)
        text_add(out, "\n");
}

void add_facts(text_buffer *out, const configuration *baseline) {
    const char *library = configuration_text(baseline, "device_library");
    const char *devices = configuration_text(baseline, "rank_devices"); /* the same in all runs */
    text_buffer seeds = {0};
    configuration_add_seeds(&seeds, baseline);
    out->failed |= seeds.failed;
    text_add(out, "%s, %s, %s epoch%s of %s images, data set %.12s, ",
             configuration_text(baseline, "model"), configuration_text(baseline, "precision"),
             configuration_text(baseline, "epochs"),
             strcmp(configuration_text(baseline, "epochs"), "1") == 0 ? "" : "s",
             configuration_text(baseline, "train_images_per_epoch"),
             configuration_text(baseline, "dataset_id"));
    text_add(out, "seed%s %s, ", seeds.bytes && strchr(seeds.bytes, ';') ? "s" : "",
             seeds.bytes ? seeds.bytes : "");
    text_free(&seeds);
    text_add(out, "%s; device %s: %.*s", configuration_text(baseline, "optimizer"),
             configuration_text(baseline, "device"), (int)strcspn(devices, ";"), devices);
    text_add(out, "%s%s%s; lockstep %s\n\n", library[0] ? " (" : "", library, library[0] ? ")" : "",
             configuration_text(baseline, "lockstep_version"));
}

/* What the columns of several repeats are. */
static void add_method(text_buffer *out, const comparison *self) {
    bool repeated = self->baseline->count > 1;
    for (size_t row = 0; row < self->count; row++)
        repeated |= self->rows[row].self->count > 1;
    if (repeated)
        text_add(out, "\nTraining time, images/s, accuracy and memory: medians over the runs.%s\n",
                 self->count ? " Speedup: the geometric mean over pairs (the i-th run with the "
                               "baseline's i-th), with the 95% interval of Student's t on their "
                               "log ratios."
                             : "");
    text_buffer drift = {0};
    add_drift(&drift, self->baseline);
    if (drift.length > 0)
        text_add(out, "\n%s", drift.bytes);
    out->failed |= drift.failed;
    text_free(&drift);
}

void speedup_text(text_buffer *out, const comparison *self, table_format format) {
    static const table_column columns[] = {
        {"Configuration", true},  {"Runs", false},           {"Training time", false},
        {"Seconds", false},       {"Speedup", false},        {"95% interval", false},
        {"Pairs", false},         {"Efficiency", false},     {"Images/s", false},
        {"Global batch", false},  {"Batch per rank", false}, {"Steps", false},
        {"Test accuracy", false}, {"Peak memory", false},
    };
    table rows = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    footnotes notes = {0};
    add_row(&rows, self, NULL, &notes);
    for (size_t row = 0; row < self->count; row++)
        add_row(&rows, self, &self->rows[row], &notes);
    add_title(out, self, format);
    add_facts(out, self->baseline);
    table_print(&rows, format, "", out);
    add_method(out, self);
    add_footnotes(out, &notes);
    table_free(&rows);
    footnotes_free(&notes);
}
