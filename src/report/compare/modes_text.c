#include "report/compare/modes.h"

#include "report/compare/notes.h"
#include "report/compare/sameness.h"
#include "report/text/duration.h"
#include "report/text/number.h"

#include <math.h>
#include <string.h>

static void add_title(text_buffer *out, const char *title, const char *more, table_format format) {
    const char *strong = format == TABLE_MARKDOWN ? "**" : "";
    text_add(out, "%s%s%s%s\n%s", strong, title, strong, more,
             format == TABLE_MARKDOWN ? "\n" : "");
}

static bool any_published(const modes *self) {
    return self->count > 0 && self->rows[self->count - 1].published;
}

static bool any_ratio(const modes *self) {
    for (size_t index = 0; index < self->count; index++)
        if (!isnan(self->rows[index].over_published))
            return true;
    return false;
}

static bool any_memory(const modes *self) {
    for (size_t index = 0; index < self->count; index++)
        if (!isnan(self->rows[index].planned_bytes))
            return true;
    return false;
}

static void add_batch(table *out, const mode_row *row) {
    if (row->self) {
        const char *batch = configuration_text(row->self, "batch_per_rank");
        table_cell(out, "%s", batch[0] ? batch : "-");
    } else
        table_cell(out, "%s", number(row->published->batch_per_rank, 0).text);
}

static void add_name(table *out, const mode_row *row) {
    table_cell(out, "%s", row->self ? row->self->name : row->published->configuration);
}

static const char *precision_of(const mode_row *row) {
    return row->self ? configuration_text(row->self, "precision") : "-";
}

/* A share of the training time, for that is what can be saved. */
static void add_exposed(table *out, const mode_row *row) {
    table_cell(out, "%s", percent(row->exposed_seconds / row->training_seconds, 1).text);
}

static void add_place(table *out, const mode_row *row) {
    if (row->self)
        table_cell(out, "here: %s", row->hardware);
    else
        table_cell(out, "not here: %s; %s", row->hardware[0] ? row->hardware : "hardware not told",
                   row->published->source);
}

/* Which columns there are: only what some row has. */
typedef struct cost_columns {
    bool ratio, gpu_joules, cpu_joules;
} cost_columns;

static void add_cost(table *out, const mode_row *row, footnotes *notes, cost_columns has) {
    text_buffer marks = {0};
    row_notes own = {0};
    if (row->self)
        row_notes_make(&own, &(comparison){.baseline = row->self}, NULL);
    add_marks(&marks, notes, &own);
    row_notes_free(&own);
    add_name(out, row);
    add_batch(out, row);
    table_cell(out, "%s", precision_of(row));
    if (row->self)
        table_cell(out, "%zu", row->self->count);
    else
        table_cell(out, "-");
    table_cell(out, "%s%s", number(row->images_per_second, 1).text, marks.bytes ? marks.bytes : "");
    if (has.ratio)
        table_cell(out, "%s%s", number(row->over_published, 2).text,
                   isnan(row->over_published) ? "" : "x");
    table_cell(out, "%s", duration(row->training_seconds).text);
    add_exposed(out, row);
    table_cell(out, "%s", number(row->peak_memory_bytes / 1e9, 3).text);
    if (has.gpu_joules)
        table_cell(out, "%s", number(row->gpu_joules, 3).text);
    if (has.cpu_joules)
        table_cell(out, "%s", number(row->cpu_joules, 3).text);
    table_cell(out, "%s", number(row->final_train_loss, 4).text);
    table_cell(out, "%s", percent(row->final_test_accuracy, 2).text);
    add_place(out, row);
    out->failed |= marks.failed;
    text_free(&marks);
}

/* "; precision: fp32, fp16": what the configurations do not share, and so no ratio of two of these
 * rows is of one thing alone. */
static void add_differences(text_buffer *out, const modes *self) {
    sameness_cursor at = {0, 0};
    size_t found = 0;
    for (const column *rule; (rule = sameness_next(&at));) {
        text_buffer values = {0};
        size_t count = 0;
        for (size_t index = 0; index < self->count && self->rows[index].self; index++) {
            text_buffer value = {0};
            bool seen = false;
            sameness_add_value(&value, self->rows[index].self->runs[0], rule);
            const char *text = value.bytes ? value.bytes : "";
            for (size_t other = 0; other < index && !seen; other++) {
                text_buffer before = {0};
                sameness_add_value(&before, self->rows[other].self->runs[0], rule);
                seen = sameness_agrees(rule, text, before.bytes ? before.bytes : "");
                text_free(&before);
            }
            if (!seen)
                text_add(&values, "%s%s", count++ ? ", " : "", text[0] ? text : "none");
            text_free(&value);
        }
        if (count > 1 && values.bytes)
            text_add(out, "%s%s: %s",
                     found++ ? "; "
                             : "These rows differ in more than mode and "
                               "batch: ",
                     rule->called, values.bytes);
        text_free(&values);
    }
    if (found > 0)
        text_add(out, ". A ratio of two of them is not of their modes alone.\n\n");
}

/* What the first one ran; where the others did not, the line after it says so. */
static void add_work(text_buffer *out, const configuration *self) {
    const char *epochs = configuration_text(self, "epochs");
    text_add(out, "%s, %s epoch%s of %s images, data set %.12s, %s; device %s; lockstep %s\n\n",
             configuration_text(self, "model"), epochs, strcmp(epochs, "1") == 0 ? "" : "s",
             configuration_text(self, "train_images_per_epoch"),
             configuration_text(self, "dataset_id"), configuration_text(self, "optimizer"),
             configuration_text(self, "device"), configuration_text(self, "lockstep_version"));
}

static void add_cost_notes(text_buffer *out, const modes *self, cost_columns has) {
    text_add(out,
             "\nImages/s of all ranks together; medians over the runs. Exposed communication: "
             "the share of the training time in which computing stood still inside a "
             "collective. Peak memory: of the fullest rank.%s\n",
             has.gpu_joules || has.cpu_joules
                 ? " J an image: over the training time, by the GPUs' counters and by those of all "
                   "hosts' CPU packages, whatever else ran there."
                 : "");
    if (any_published(self))
        text_add(out,
                 "\nRows that say \"not here\" were published by others and not measured here%s\n",
                 any_ratio(self)
                     ? ": a ratio stands only beside a row of the same hardware, batch per rank "
                       "and configuration."
                     : ", on other hardware or in another configuration: there is no ratio with "
                       "them.");
}

static void add_cost_table(text_buffer *out, const modes *self, table_format format) {
    cost_columns has = {.ratio = any_ratio(self)};
    for (size_t index = 0; index < self->count; index++) {
        has.gpu_joules |= !isnan(self->rows[index].gpu_joules);
        has.cpu_joules |= !isnan(self->rows[index].cpu_joules);
    }
    const struct {
        table_column column;
        bool shown;
    } all[] = {
        {{"Configuration", true}, true},
        {{"Batch per rank", false}, true},
        {{"Precision", true}, true},
        {{"Runs", false}, true},
        {{"Images/s", false}, true},
        {{"Over published", false}, has.ratio},
        {{"Training time", false}, true},
        {{"Exposed comm.", false}, true},
        {{"Peak memory (GB)", false}, true},
        {{"GPU J an image", false}, has.gpu_joules},
        {{"CPU J an image", false}, has.cpu_joules},
        {{"Train loss", false}, true},
        {{"Test accuracy", false}, true},
        {{"Measured", true}, true},
    };
    enum { COUNT = sizeof all / sizeof all[0] };
    table_column columns[COUNT];
    size_t count = 0;
    for (size_t index = 0; index < COUNT; index++)
        if (all[index].shown)
            columns[count++] = all[index].column;
    table rows = {.columns = columns, .column_count = count};
    footnotes notes = {0};
    for (size_t index = 0; index < self->count; index++)
        add_cost(&rows, &self->rows[index], &notes, has);
    add_title(out, "Modes", ": what each cost, and what it came to", format);
    if (self->count > 0 && self->rows[0].self)
        add_work(out, self->rows[0].self);
    add_differences(out, self);
    table_print(&rows, format, "", out);
    add_cost_notes(out, self, has);
    add_footnotes(out, &notes);
    table_free(&rows);
    footnotes_free(&notes);
}

static void add_memory_table(text_buffer *out, const modes *self, table_format format) {
    table_column columns[MEMORY_KINDS + 4] = {{"Configuration", true}, {"Batch per rank", false}};
    size_t count = 2;
    for (int kind = 0; kind < MEMORY_KINDS; kind++)
        columns[count++] = (table_column){memory_kinds[kind].title, false};
    columns[count++] = (table_column){"Planned", false};
    columns[count++] = (table_column){"Measured", false};
    table rows = {.columns = columns, .column_count = count};
    for (size_t index = 0; index < self->count; index++) {
        const mode_row *row = &self->rows[index];
        if (isnan(row->planned_bytes))
            continue;
        add_name(&rows, row);
        add_batch(&rows, row);
        for (int kind = 0; kind < MEMORY_KINDS; kind++)
            table_cell(&rows, "%s", number(row->memory_bytes[kind] / 1e6, 1).text);
        table_cell(&rows, "%s", number(row->planned_bytes / 1e6, 1).text);
        table_cell(&rows, "%s", number(row->peak_memory_bytes / 1e6, 1).text);
    }
    text_add(out, "\n\n");
    add_title(out, "Memory of a rank", " by kind, in MB, of the rank that holds most", format);
    table_print(&rows, format, "", out);
    text_add(out,
             "\nPlanned: what the fullest rank would hold, known before it was taken (on a GPU "
             "without what its host holds); measured: the most that a rank held.\n");
    table_free(&rows);
}

static void add_epoch_table(text_buffer *out, const modes *self, table_format format) {
    static const table_column columns[] = {
        {"Configuration", true},  {"Batch per rank", false}, {"Epoch", false},
        {"Train loss", false},    {"Train accuracy", false}, {"Test loss", false},
        {"Test accuracy", false}, {"Images/s", false},
    };
    table rows = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    for (size_t index = 0; index < self->count; index++) {
        const mode_row *row = &self->rows[index];
        for (size_t epoch = 0; epoch < row->epoch_count; epoch++) {
            const mode_epoch *at = &row->epochs[epoch];
            add_name(&rows, row);
            add_batch(&rows, row);
            table_cell(&rows, "%zu", epoch + 1);
            table_cell(&rows, "%s", number(at->train_loss, 4).text);
            table_cell(&rows, "%s", percent(at->train_accuracy, 2).text);
            table_cell(&rows, "%s", number(at->test_loss, 4).text);
            table_cell(&rows, "%s", percent(at->test_accuracy, 2).text);
            table_cell(&rows, "%s", number(at->images_per_second, 1).text);
        }
    }
    text_add(out, "\n\n");
    add_title(out, "By epoch", ": losses and accuracies, medians over the runs", format);
    table_print(&rows, format, "", out);
    table_free(&rows);
}

void modes_text(text_buffer *out, const modes *self, table_format format) {
    add_cost_table(out, self, format);
    if (any_memory(self))
        add_memory_table(out, self, format);
    add_epoch_table(out, self, format);
}
