/* lockstep report: the speedup tables of finished runs. */
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report_parts.h"
#include "launch/lifeline.h"
#include "report/certify/certify.h"
#include "report/compare/epochs_table.h"
#include "report/compare/speedup.h"
#include "report/facts/columns_text.h"
#include "report/read/allow.h"

#include <limits.h>
#include <string.h>

static const option options[] = {
    {.name = "table",
     .kind = OPTION_CHOICE,
     .offset = offsetof(report_settings, table),
     .default_text = "speedup",
     .choices = "speedup|epochs|modes",
     .help =
         "Print that table; epochs: loss, accuracy, throughput and memory of each epoch of each "
         "run, whatever the runs are; modes: what each configuration costs, and what it comes to."},
    {.name = "format",
     .kind = OPTION_CHOICE,
     .offset = offsetof(report_settings, format),
     .default_text = "text",
     .choices = "text|markdown|csv|latex|html",
     .help = "How the tables are written; latex: for the packages booktabs and graphicx; html: a "
             "part of a page."},
    {.name = "published",
     .kind = OPTION_TEXT,
     .offset = offsetof(report_settings, published),
     .placeholder = "FILE",
     .help = "With --table modes: rows of this CSV file beside them, as not measured here."},
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

static int add_tables(text_buffer *out, report *self, ls_error *error) {
    table_format format = report_format(self->settings);
    const target_table *target = self->settings->target_accuracy > 0 ? &self->target : NULL;
    if (format == TABLE_CSV) {
        speedup_csv(out, &self->tables, target);
        return LS_OK;
    }
    for (size_t index = 0; index < self->tables.count; index++) {
        text_add(out, "%s", index ? "\n\n" : "");
        LS_TRY(report_add_table(out, self, index, format, &self->complaints, error));
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
        status = report_write(&text, self->settings, error);
    text_free(&text);
    return status;
}

static bool shows(const report_settings *settings, const char *table) {
    return strcmp(settings->table, table) == 0;
}

static int write_epochs(report *self, ls_error *error) {
    text_buffer text = {0};
    int status =
        epochs_table(&text, &self->runs, report_format(self->settings), &self->complaints, error);
    if (status == LS_OK)
        status = report_write(&text, self->settings, error);
    text_free(&text);
    return status;
}

static int write_modes(report *self, ls_error *error) {
    text_buffer text = {0};
    table_format format = report_format(self->settings);
    if (format == TABLE_CSV)
        modes_csv(&text, &self->modes);
    else
        modes_text(&text, &self->modes, format);
    int status = report_write(&text, self->settings, error);
    text_free(&text);
    return status;
}

/* Where a run has a complaint, that is the exit code, and not that the others part. */
static int certify(report *self, ls_error *error) {
    text_buffer text = {0};
    certified_list list = {0};
    int status = certified_list_read(&list, &self->runs, &self->complaints, error);
    if (status == LS_OK && list.count > 1) {
        certify_text(&text, &list, report_format(self->settings));
        status = report_write(&text, self->settings, error);
    }
    if (status == LS_OK && self->complaints.count == 0)
        status = certify_verdict(&list, error);
    certified_list_free(&list);
    text_free(&text);
    return status;
}

static int check_pictures(const report_settings *settings, ls_error *error) {
    if (settings->png && !settings->plot)
        return ls_fail(error, LS_BAD_INPUT, "--png: expected --plot DIR with it, found none");
    if (shows(settings, "epochs") &&
        (settings->plot || settings->html || settings->certify || settings->target_accuracy > 0))
        return ls_fail(error, LS_BAD_INPUT,
                       "--table epochs: expected no --plot, --html, --certify or --target-accuracy "
                       "with it: they are of runs that are compared");
    if (shows(settings, "modes") && (settings->certify || settings->target_accuracy > 0))
        return ls_fail(
            error, LS_BAD_INPUT,
            "--table modes: expected no --certify or --target-accuracy with it: they are "
            "of runs that are compared");
    if (settings->published && !shows(settings, "modes"))
        return ls_fail(error, LS_BAD_INPUT,
                       "--published: expected --table modes with it, found --table %s",
                       settings->table);
    if (settings->certify && (settings->plot || settings->html))
        return ls_fail(error, LS_BAD_INPUT, "--certify: expected no %s with it: it draws nothing",
                       settings->plot ? "--plot" : "--html");
    if (settings->certify && settings->target_accuracy > 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--certify: expected no --target-accuracy with it: it makes no such table");
    return LS_OK;
}

static int compare(report *self, ls_error *error) {
    LS_TRY(comparisons_make(&self->tables, &self->configurations, self->settings->allow,
                            &self->complaints, error));
    if (self->settings->target_accuracy > 0)
        LS_TRY(target_make(&self->target, &self->tables, self->settings->target_accuracy,
                           &self->complaints, error));
    return LS_OK;
}

static int make(report *self, const operands *folders, ls_error *error) {
    LS_TRY(output_check("--output", self->settings->output, error));
    LS_TRY(output_check("--html", self->settings->html, error));
    LS_TRY(allow_check(self->settings->allow, error));
    LS_TRY(check_pictures(self->settings, error));
    if (self->settings->published)
        LS_TRY(published_read(&self->published, self->settings->published, error));
    LS_TRY(run_list_read(&self->runs, folders->values, (size_t)folders->count, &self->complaints,
                         error));
    if (self->runs.count == 0) /* each has its line */
        return LS_OK;
    if (self->settings->certify)
        return certify(self, error);
    if (shows(self->settings, "epochs"))
        return write_epochs(self, error);
    LS_TRY(run_list_leave_suspended(&self->runs, self->settings->allow, &self->complaints, error));
    if (self->runs.count == 0)
        return LS_OK;
    LS_TRY(configurations_make(&self->configurations, self->runs.items, self->runs.count, error));
    bool modes_alone = shows(self->settings, "modes");
    if (!modes_alone)
        LS_TRY(compare(self, error));
    if (modes_alone || self->settings->html || self->settings->plot)
        LS_TRY(modes_make(&self->modes, &self->configurations,
                          self->settings->published ? &self->published : NULL, &self->complaints,
                          error));
    LS_TRY(modes_alone ? write_modes(self, error) : write_tables(self, error));
    return report_draw(self, error);
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
    modes_free(&report.modes);
    target_free(&report.target);
    comparisons_free(&report.tables);
    configurations_free(&report.configurations);
    run_list_free(&report.runs);
    published_free(&report.published);
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
