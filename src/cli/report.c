/* lockstep report: the speedup tables of finished runs. */
#include "cli/commands.h"
#include "cli/output.h"
#include "launch/lifeline.h"
#include "report/certify/certify.h"
#include "report/compare/epochs_table.h"
#include "report/compare/lost.h"
#include "report/compare/speedup.h"
#include "report/facts/columns_text.h"
#include "report/page/html.h"
#include "report/picture/plot.h"
#include "report/read/allow.h"
#include "report/read/run_list.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef struct report_settings {
    const char *table, *format, *output, *allow, *plot, *html;
    bool png, certify, columns;
    double target_accuracy; /* 0: none */
} report_settings;

static const option options[] = {
    {.name = "table",
     .kind = OPTION_CHOICE,
     .offset = offsetof(report_settings, table),
     .default_text = "speedup",
     .choices = "speedup|epochs",
     .help =
         "Print that table; epochs: loss, accuracy, throughput and memory of each epoch of each "
         "run, whatever the runs are."},
    {.name = "format",
     .kind = OPTION_CHOICE,
     .offset = offsetof(report_settings, format),
     .default_text = "text",
     .choices = "text|markdown|csv",
     .help = "How the tables are written."},
    {.name = "output",
     .kind = OPTION_TEXT,
     .offset = offsetof(report_settings, output),
     .placeholder = "FILE",
     .help = "Write them there, whole or not at all, instead of to standard output."},
    {.name = "allow",
     .kind = OPTION_TEXT,
     .offset = offsetof(report_settings, allow),
     .placeholder = "WHAT[,WHAT...]",
     .help = "Compare runs that differ in this, with a footnote (the names stand above)."},
    {.name = "target-accuracy",
     .kind = OPTION_REAL,
     .offset = offsetof(report_settings, target_accuracy),
     .placeholder = "X",
     .minimum = 0.0001,
     .maximum = 1,
     .help = "Also the training time until test accuracy first reached X (0.7 is 70%)."},
    {.name = "plot",
     .kind = OPTION_TEXT,
     .offset = offsetof(report_settings, plot),
     .placeholder = "DIR",
     .help = "Draw speedups, times, losses and accuracies into this folder, as SVG (by gnuplot)."},
    {.name = "png",
     .kind = OPTION_FLAG,
     .offset = offsetof(report_settings, png),
     .help = "With --plot: as PNG too, light and dark."},
    {.name = "certify",
     .kind = OPTION_FLAG,
     .offset = offsetof(report_settings, certify),
     .help = "Compare the runs' samples and parameters step by step, not their times."},
    {.name = "columns",
     .kind = OPTION_FLAG,
     .offset = offsetof(report_settings, columns),
     .help = "Print what the columns of a run's CSV files are, as Markdown (results/COLUMNS.md)."},
    {.name = "html",
     .kind = OPTION_TEXT,
     .offset = offsetof(report_settings, html),
     .placeholder = "FILE",
     .help =
         "Write one page with tables, pictures and what each run was, that needs no other file."},
    {.name = NULL},
};

/* What one report is made of, in the order in which it is made. */
typedef struct report {
    const report_settings *settings;
    run_list runs;
    configuration_list configurations;
    comparison_list tables;
    target_table target;
    complaints complaints;
} report;

static table_format format_of(const char *name) {
    if (strcmp(name, "markdown") == 0)
        return TABLE_MARKDOWN;
    return strcmp(name, "csv") == 0 ? TABLE_CSV : TABLE_TEXT;
}

/* A certificate that is damaged goes to `complaints`. */
static int add_table(text_buffer *out, const report *self, size_t index, table_format format,
                     complaints *complaints, ls_error *error) {
    speedup_text(out, &self->tables.items[index], format);
    lost_text(out, &self->tables.items[index], format);
    return certify_note(out, &self->tables.items[index], complaints, error);
}

static int add_tables(text_buffer *out, report *self, ls_error *error) {
    table_format format = format_of(self->settings->format);
    const target_table *target = self->settings->target_accuracy > 0 ? &self->target : NULL;
    if (format == TABLE_CSV) {
        speedup_csv(out, &self->tables, target);
        return LS_OK;
    }
    for (size_t index = 0; index < self->tables.count; index++) {
        text_add(out, "%s", index ? "\n\n" : "");
        LS_TRY(add_table(out, self, index, format, &self->complaints, error));
    }
    if (target) {
        text_add(out, "\n\n");
        target_text(out, target, format);
    }
    return LS_OK;
}

static int write_tables(report *self, ls_error *error) {
    text_buffer text = {0};
    int status = add_tables(&text, self, error);
    if (status == LS_OK)
        status = output_write(&text, self->settings->output, error);
    text_free(&text);
    return status;
}

static bool shows_epochs(const report_settings *settings) {
    return strcmp(settings->table, "epochs") == 0;
}

static int write_epochs(report *self, ls_error *error) {
    text_buffer text = {0};
    int status = epochs_table(&text, &self->runs, format_of(self->settings->format),
                              &self->complaints, error);
    if (status == LS_OK)
        status = output_write(&text, self->settings->output, error);
    text_free(&text);
    return status;
}

/* Where a run has a complaint, that is the exit code, and not that the others part. */
static int certify(report *self, ls_error *error) {
    text_buffer text = {0};
    certified_list list = {0};
    int status = certified_list_read(&list, &self->runs, &self->complaints, error);
    if (status == LS_OK && list.count > 1) {
        certify_text(&text, &list, format_of(self->settings->format));
        status = output_write(&text, self->settings->output, error);
    }
    if (status == LS_OK && self->complaints.count == 0)
        status = certify_verdict(&list, error);
    certified_list_free(&list);
    text_free(&text);
    return status;
}

/* The tables again, as Markdown, one by one. What is wrong with certificates was said before. */
static int add_page_texts(text_buffer *texts, text_buffer *more, const report *self,
                          ls_error *error) {
    complaints said = {0};
    int status = LS_OK;
    for (size_t index = 0; status == LS_OK && index < self->tables.count; index++)
        status = add_table(&texts[index], self, index, TABLE_MARKDOWN, &said, error);
    if (self->settings->target_accuracy > 0)
        target_text(more, &self->target, TABLE_MARKDOWN);
    complaints_free(&said);
    return status;
}

/* The page is written with or without pictures; why they could not be drawn is the failure then. */
static int write_page(const report *self, const picture_list *pictures, ls_error *error) {
    text_buffer page = {0}, more = {0}, *texts = calloc(self->tables.count, sizeof *texts);
    ls_error drawing = {0};
    if (!texts)
        return ls_fail(error, LS_FAILED, "no memory for the page");
    html_report content = {.tables = &self->tables,
                           .texts = texts,
                           .more = &more,
                           .configurations = &self->configurations,
                           .pictures = pictures,
                           .complaints = &self->complaints};
    int status = add_page_texts(texts, &more, self, error);
    if (status == LS_OK)
        status = html_page(&page, &content, &drawing, error);
    if (status == LS_OK)
        status = output_write(&page, self->settings->html, error);
    if (status == LS_OK && drawing.code != LS_OK)
        status = ls_fail(error, drawing.code, "%s", drawing.text);
    for (size_t index = 0; index < self->tables.count; index++)
        text_free(&texts[index]);
    free(texts);
    text_free(&more);
    text_free(&page);
    return status;
}

static int draw(report *self, ls_error *error) {
    picture_list pictures = {0};
    if (!self->settings->plot && !self->settings->html)
        return LS_OK;
    int status =
        pictures_make(&pictures, &self->tables, &self->configurations, &self->complaints, error);
    if (status == LS_OK && self->settings->html)
        status = write_page(self, &pictures, error);
    if (status == LS_OK && self->settings->plot)
        status = pictures_write(&pictures, self->settings->plot, self->settings->png, error);
    pictures_free(&pictures);
    return status;
}

static int check_pictures(const report_settings *settings, ls_error *error) {
    if (settings->png && !settings->plot)
        return ls_fail(error, LS_BAD_INPUT, "--png: expected --plot DIR with it, found none");
    if (shows_epochs(settings) &&
        (settings->plot || settings->html || settings->certify || settings->target_accuracy > 0))
        return ls_fail(error, LS_BAD_INPUT,
                       "--table epochs: expected no --plot, --html, --certify or --target-accuracy "
                       "with it: they are of runs that are compared");
    if (settings->certify && (settings->plot || settings->html))
        return ls_fail(error, LS_BAD_INPUT, "--certify: expected no %s with it: it draws nothing",
                       settings->plot ? "--plot" : "--html");
    if (settings->certify && settings->target_accuracy > 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--certify: expected no --target-accuracy with it: it makes no such table");
    return LS_OK;
}

static int make(report *self, const operands *folders, ls_error *error) {
    LS_TRY(output_check("--output", self->settings->output, error));
    LS_TRY(output_check("--html", self->settings->html, error));
    LS_TRY(allow_check(self->settings->allow, error));
    LS_TRY(check_pictures(self->settings, error));
    LS_TRY(run_list_read(&self->runs, folders->values, (size_t)folders->count, &self->complaints,
                         error));
    if (self->runs.count == 0) /* each has its line */
        return LS_OK;
    if (self->settings->certify)
        return certify(self, error);
    if (shows_epochs(self->settings))
        return write_epochs(self, error);
    LS_TRY(run_list_leave_suspended(&self->runs, self->settings->allow, &self->complaints, error));
    if (self->runs.count == 0)
        return LS_OK;
    LS_TRY(configurations_make(&self->configurations, self->runs.items, self->runs.count, error));
    LS_TRY(comparisons_make(&self->tables, &self->configurations, self->settings->allow,
                            &self->complaints, error));
    if (self->settings->target_accuracy > 0)
        LS_TRY(target_make(&self->target, &self->tables, self->settings->target_accuracy,
                           &self->complaints, error));
    LS_TRY(write_tables(self, error));
    return draw(self, error);
}

/* Takes no runs. */
static int write_columns(const report_settings *settings, const operands *folders,
                         ls_error *error) {
    text_buffer text = {0};
    if (folders->count > 0)
        return ls_fail(error, LS_BAD_INPUT, "--columns: unexpected operand '%s'",
                       folders->values[0]);
    columns_text(&text);
    int status = output_write(&text, settings->output, error);
    text_free(&text);
    return status;
}

static int run_report(const command *self, int argc, char **argv, ls_error *error) {
    report_settings settings = {0};
    operands folders;
    LS_TRY(lifeline_install_signals(error)); /* an interrupted --output leaves nothing behind */
    LS_TRY(option_parse(self, argc, argv, &settings, &folders, error));
    if (folders.help) {
        option_print_help(self, stdout);
        return LS_OK;
    }
    if (settings.columns)
        return write_columns(&settings, &folders, error);
    if (folders.count == 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected %s, found 0 operands", self->name,
                       self->usage);
    report report = {.settings = &settings};
    int status = make(&report, &folders, error);
    if (status == LS_BAD_INPUT)
        status = complaints_add(&report.complaints, error);
    if (status == LS_OK)
        status = complaints_end(&report.complaints, error);
    target_free(&report.target);
    comparisons_free(&report.tables);
    configurations_free(&report.configurations);
    run_list_free(&report.runs);
    complaints_free(&report.complaints);
    return status;
}

const command command_report = {
    .name = "report",
    .usage = "RUN...",
    .summary = "Prints the speedup tables of finished runs.",
    .details =
        "RUN is the folder that `lockstep train --results` wrote. Runs of one configuration are\n"
        "repeats. One configuration must have mode single: it is the baseline. Runs with one\n"
        "global batch are strong scaling; runs with one batch per rank are weak scaling in the\n"
        "batch, and a footnote says so. Runs that differ in anything else are left out with a\n"
        "line that says what differs (exit code 2), unless --allow names it, "
        "of:\n" ALLOW_NAMES_1 ",\n" ALLOW_NAMES_2 ",\n" ALLOW_NAMES_3 ".\n\n"
        "--certify: exit code 0 where all runs had the same samples and have the same parameters\n"
        "wherever both have a hash of them, 1 where they part, 2 where a certificate is missing "
        "or\n"
        "damaged, or the runs differ in data, seed, global batch or model.",
    .groups = (const option_group[]){{NULL, options, 0}, {0}},
    .operands_minimum = 0, /* --columns */
    .operands_maximum = INT_MAX,
    .run = run_report,
};
