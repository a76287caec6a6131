#include "report/facts/columns_text.h"

#include "report/facts/attempt_columns.h"
#include "report/facts/epoch_columns.h"
#include "report/facts/facts.h"
#include "report/facts/layer_row.h"
#include "report/facts/rank_columns.h"
#include "report/facts/step_columns.h"

#include <string.h>

static const char introduction[] =
    "# Columns\n\n"
    "What the columns of a run's files are. Generated: `lockstep report --columns` prints this\n"
    "page from the tables in `src/report/facts/`, by which the files are written and read.\n\n"
    "Files are CSV as RFC 4180 has it. An empty field, and `-` in the log, was not measured, or\n"
    "there is none; numbers have a decimal point and nine digits; MB in texts are 10^6 bytes.\n"
    "`format_version` is raised when a column changes its meaning or goes; a new column does not\n"
    "raise it, so read by name.\n\n"
    "`lockstep report` demands the columns marked with `*`; a run of an older version may lack\n"
    "the others. *Compared*: runs of one table must be equal in it, or they are left out with a\n"
    "line that says what differs; in brackets the name by which `--allow` takes them with a\n"
    "footnote. What is *part of a configuration* tells runs from repeats, and runs that differ\n"
    "in it stand in one table. What is not compared is chance, or follows from others.\n";

static const char *type_text(const column *self) {
    switch (self->type) {
    case COLUMN_TEXT:
    case COLUMN_ID:
        return "text";
    case COLUMN_LIST:
        return "list";
    case COLUMN_INT:
    case COLUMN_INT64:
        return "integer";
    case COLUMN_FLAG:
        return "0 or 1";
    case COLUMN_REAL:
        return self->show == SHOWN_WHOLE ? "integer" : "number";
    }
    return "";
}

static const char *comparison_text(column_comparison compared) {
    switch (compared) {
    case COMPARED_NOT:
        return "";
    case COMPARED_PART:
        return "part of a configuration";
    case COMPARED_EXACTLY:
        return "equal";
    case COMPARED_SET:
        return "equal as a set";
    case COMPARED_SET_ON_HOST:
        return "equal as a set, on CPUs";
    case COMPARED_VERSIONS:
        return "equal where both name it";
    case COMPARED_SEEDS:
        return "the repeats' as a set";
    case COMPARED_ALL_OR_NONE:
        return "all runs or none";
    }
    return "";
}

/* " (epochs, images)" */
static void add_names(text_buffer *out, const char *allow) {
    text_add(out, " (");
    for (; *allow; allow++)
        text_add(out, "%.*s", *allow == '|' ? 2 : 1, *allow == '|' ? ", " : allow);
    text_add(out, ")");
}

static void add_column(text_buffer *out, const column *self, bool compares) {
    text_add(out, "| `%s`%s | %s%s%s |", self->name, self->need == NEEDS_NOTHING ? "" : " *",
             type_text(self), self->unit ? ", " : "", self->unit ? self->unit : "");
    if (compares) {
        text_add(out, " %s", comparison_text(self->compared));
        if (self->allow)
            add_names(out, self->allow);
        text_add(out, " |");
    }
    text_add(out, " %s |\n", self->meaning);
}

static bool any_compared(const column_table *self) {
    for (size_t index = 0; index < self->count; index++)
        if (self->columns[index].compared != COMPARED_NOT)
            return true;
    return false;
}

static void add_table(text_buffer *out, const column_table *self) {
    bool compares = any_compared(self);
    text_add(out, "\n## %s\n\n%s\n\n", self->file, self->about);
    text_add(out, "| column | type |%s what it is |\n", compares ? " compared |" : "");
    text_add(out, "|---|---|%s---|\n", compares ? "---|" : "");
    for (size_t index = 0; index < self->count; index++)
        if (!self->columns[index].hidden)
            add_column(out, &self->columns[index], compares);
}

void columns_text(text_buffer *out) {
    static const column_table *const tables[] = {
        &summary_columns, &epoch_columns,  &attempt_columns,     &rank_columns,
        &layer_columns,   &sample_columns, &certificate_columns, &step_columns};
    text_add(out, "%s", introduction);
    for (size_t index = 0; index < sizeof tables / sizeof tables[0]; index++)
        add_table(out, tables[index]);
}
