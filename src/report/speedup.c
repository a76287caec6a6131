#include "report/speedup.h"

#include "report/duration.h"
#include "report/run_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct comparison {
    const finished_run *runs;
    size_t count, baseline;
    scaling_kind scaling;
} comparison;

static const char *text_of(const finished_run *run, const char *column) {
    return finished_run_text(run, column);
}

static const char *or_dash(const char *text) {
    return text[0] ? text : "-";
}

static double speedup_of(const comparison *self, const finished_run *run) {
    return finished_run_number(&self->runs[self->baseline], "training_seconds") /
           finished_run_number(run, "training_seconds");
}

static double efficiency_of(const comparison *self, const finished_run *run) {
    return speedup_of(self, run) / finished_run_number(run, "ranks");
}

static bool is_weak_row(const comparison *self, const finished_run *run) {
    return self->scaling == SCALING_WEAK &&
           strcmp(text_of(run, "global_batch"),
                  text_of(&self->runs[self->baseline], "global_batch")) != 0;
}

static bool is_oversubscribed(const finished_run *run) {
    return finished_run_number(run, "oversubscribed") != 0;
}

/* The field writes its abbreviations in capitals. */
static const char *mode_name(const char *mode) {
    if (strcmp(mode, "ddp") == 0)
        return "DDP";
    return strcmp(mode, "dp") == 0 ? "DP" : mode;
}

/* "2 nodes, 2 ranks (DDP)"; a GPU is named: "2 nodes, 2 x NVIDIA A100 (DDP)". */
static void add_configuration(text_buffer *out, const finished_run *run) {
    double nodes = finished_run_number(run, "nodes"), ranks = finished_run_number(run, "ranks");
    const char *devices = text_of(run, "rank_devices");
    text_add(out, "%.0f node%s, %.0f ", nodes, nodes == 1 ? "" : "s", ranks);
    if (strcmp(text_of(run, "device"), "cuda") == 0 && devices[0])
        text_add(out, "x %.*s", (int)strcspn(devices, ";"), devices);
    else
        text_add(out, "rank%s", ranks == 1 ? "" : "s");
    text_add(out, " (%s)", mode_name(text_of(run, "mode")));
}

static void add_row(table *out, const comparison *self, const finished_run *run) {
    text_buffer configuration = {0};
    add_configuration(&configuration, run);
    table_cell(out, "%s", configuration.bytes ? configuration.bytes : "");
    text_free(&configuration);
    double seconds = finished_run_number(run, "training_seconds");
    table_cell(out, "%s", duration(seconds).text);
    table_cell(out, "%.2f", seconds);
    if (run == &self->runs[self->baseline]) {
        table_cell(out, "baseline");
        table_cell(out, "%s", "");
    } else {
        table_cell(out, "%.2fx%s", speedup_of(self, run), is_weak_row(self, run) ? " [1]" : "");
        table_cell(out, "%s", percent(efficiency_of(self, run), 1).text);
    }
    table_cell(out, "%s", number(finished_run_number(run, "images_per_second"), 1).text);
    table_cell(out, "%s", text_of(run, "global_batch"));
    table_cell(out, "%s", or_dash(text_of(run, "batch_per_rank")));
    table_cell(out, "%s", text_of(run, "steps"));
    table_cell(out, "%s", percent(finished_run_number(run, "final_test_accuracy"), 2).text);
    double memory = finished_run_number(run, "peak_memory_maximum_bytes");
    table_cell(out, "%s%s", number(memory / 1e6, 1).text, isnan(memory) ? "" : " MB");
}

static void add_title(text_buffer *out, const comparison *self, table_format format) {
    const finished_run *baseline = &self->runs[self->baseline];
    const char *strong = format == TABLE_MARKDOWN ? "**" : "";
    if (self->scaling == SCALING_STRONG)
        text_add(out, "%sStrong scaling%s: the global batch is %s in every run\n", strong, strong,
                 text_of(baseline, "global_batch"));
    else if (self->scaling == SCALING_WEAK)
        text_add(out, "%sWeak scaling in the batch%s: %s images a rank in every run [1]\n", strong,
                 strong, text_of(baseline, "batch_per_rank"));
    else
        text_add(out, "%sOne run%s: nothing to compare it with\n", strong, strong);
    if (format == TABLE_MARKDOWN)
        text_add(out, "\n");
    const char *library = text_of(baseline, "device_library");
    const char *devices = text_of(baseline, "rank_devices"); /* the same in all runs */
    text_add(out, "%s, %s, %s epoch%s of %s images, data set %.12s, seed %s, ",
             text_of(baseline, "model"), text_of(baseline, "precision"),
             text_of(baseline, "epochs"), finished_run_number(baseline, "epochs") == 1 ? "" : "s",
             text_of(baseline, "train_images_per_epoch"), text_of(baseline, "dataset_id"),
             text_of(baseline, "seed"));
    text_add(out, "%s; device %s: %.*s", text_of(baseline, "optimizer"),
             text_of(baseline, "device"), (int)strcspn(devices, ";"), devices);
    text_add(out, "%s%s%s; lockstep %s\n\n", library[0] ? " (" : "", library, library[0] ? ")" : "",
             text_of(baseline, "lockstep_version"));
}

static const char weak_note[] =
    "The global batch is not the baseline's: with the same batch per rank, more ranks take fewer "
    "steps an epoch. The ratio is weak scaling in the batch, not the same optimisation problem "
    "solved faster.";
static const char oversubscribed_note[] =
    "Ranks shared cores (--oversubscribe): the times are no measure of scaling.";

static void add_footnotes(text_buffer *out, const comparison *self) {
    if (self->scaling == SCALING_WEAK)
        text_add(out, "\n[1] %s\n", weak_note);
    if (is_oversubscribed(&self->runs[self->baseline]))
        text_add(out, "\n%s\n", oversubscribed_note);
}

typedef void (*row_adder)(table *out, const comparison *self, const finished_run *run);

static void add_rows(table *out, const comparison *self, row_adder add) {
    add(out, self, &self->runs[self->baseline]);
    for (size_t index = 0; index < self->count; index++)
        if (index != self->baseline)
            add(out, self, &self->runs[index]);
}

static void print_for_people(text_buffer *out, const comparison *self, table_format format) {
    static const table_column columns[] = {
        {"Configuration", true},  {"Training time", false},  {"Seconds", false},
        {"Speedup", false},       {"Efficiency", false},     {"Images/s", false},
        {"Global batch", false},  {"Batch per rank", false}, {"Steps", false},
        {"Test accuracy", false}, {"Peak memory", false},
    };
    table rows = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    add_rows(&rows, self, add_row);
    add_title(out, self, format);
    table_print(&rows, format, "", out);
    add_footnotes(out, self);
    table_free(&rows);
}

static void add_plain_row(table *out, const comparison *self, const finished_run *run) {
    static const char *const copied[] = {"mode",   "nodes",        "ranks",
                                         "device", "rank_devices", "training_seconds"};
    static const char *const copied_too[] = {"images_per_second",   "global_batch",
                                             "batch_per_rank",      "steps",
                                             "final_test_accuracy", "peak_memory_maximum_bytes"};
    text_buffer configuration = {0};
    add_configuration(&configuration, run);
    table_cell(out, "%s", run->folder);
    table_cell(out, "%s", configuration.bytes ? configuration.bytes : "");
    text_free(&configuration);
    for (size_t index = 0; index < sizeof copied / sizeof copied[0]; index++)
        table_cell(out, "%s", text_of(run, copied[index]));
    table_cell(out, "%s", duration(finished_run_number(run, "training_seconds")).text);
    table_cell(out, "%d", run == &self->runs[self->baseline]);
    table_cell(out, "%.9g", speedup_of(self, run));
    table_cell(out, "%.9g", efficiency_of(self, run));
    for (size_t index = 0; index < sizeof copied_too / sizeof copied_too[0]; index++)
        table_cell(out, "%s", text_of(run, copied_too[index]));
    static const char *const scaling[] = {"none", "strong", "weak"};
    bool weak = is_weak_row(self, run), shared = is_oversubscribed(run);
    table_cell(out, "%s", scaling[self->scaling]);
    table_cell(out, "%s%s%s", weak ? weak_note : "", weak && shared ? " " : "",
               shared ? oversubscribed_note : "");
}

static void print_for_programs(text_buffer *out, const comparison *self) {
    static const table_column columns[] = {
        {"run", true},
        {"configuration", true},
        {"mode", true},
        {"nodes", false},
        {"ranks", false},
        {"device", true},
        {"rank_devices", true},
        {"training_seconds", false},
        {"training_time", true},
        {"baseline", false},
        {"speedup", false},
        {"parallel_efficiency", false},
        {"images_per_second", false},
        {"global_batch", false},
        {"batch_per_rank", false},
        {"steps", false},
        {"final_test_accuracy", false},
        {"peak_memory_maximum_bytes", false},
        {"scaling", true},
        {"note", true},
    };
    table rows = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    add_rows(&rows, self, add_plain_row);
    table_print(&rows, TABLE_CSV, "", out);
    table_free(&rows);
}

void speedup_text(text_buffer *out, const finished_run *runs, size_t count, size_t baseline,
                  scaling_kind scaling, table_format format) {
    comparison self = {runs, count, baseline, scaling};
    if (format == TABLE_CSV)
        print_for_programs(out, &self);
    else
        print_for_people(out, &self, format);
}
