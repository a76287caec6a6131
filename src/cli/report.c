/* lockstep report: the speedup table of finished runs. */
#include "cli/commands.h"
#include "cli/output.h"
#include "launch/lifeline.h"
#include "report/speedup.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef struct report_settings {
    const char *format, *output;
} report_settings;

static const option options[] = {
    {.name = "format",
     .kind = OPTION_CHOICE,
     .offset = offsetof(report_settings, format),
     .default_text = "text",
     .choices = "text|markdown|csv",
     .help = "How the table is written."},
    {.name = "output",
     .kind = OPTION_TEXT,
     .offset = offsetof(report_settings, output),
     .placeholder = "FILE",
     .help = "Write it there, whole or not at all, instead of to standard output."},
    {.name = NULL},
};

static table_format format_of(const char *name) {
    if (strcmp(name, "markdown") == 0)
        return TABLE_MARKDOWN;
    return strcmp(name, "csv") == 0 ? TABLE_CSV : TABLE_TEXT;
}

static int read_runs(const operands *folders, finished_run *runs, size_t *count, ls_error *error) {
    for (int index = 0; index < folders->count; index++) {
        LS_TRY(finished_run_read(&runs[index], folders->values[index], error));
        *count = (size_t)index + 1;
    }
    return LS_OK;
}

static int report(finished_run *runs, const operands *folders, const report_settings *settings,
                  size_t *count, ls_error *error) {
    size_t baseline = 0;
    scaling_kind scaling = SCALING_NONE;
    LS_TRY(output_check("--output", settings->output, error));
    LS_TRY(read_runs(folders, runs, count, error));
    LS_TRY(comparable_check(runs, *count, &baseline, &scaling, error));
    text_buffer text = {0};
    speedup_text(&text, runs, *count, baseline, scaling, format_of(settings->format));
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
    finished_run *runs = calloc((size_t)folders.count, sizeof *runs);
    if (!runs)
        return ls_fail(error, LS_FAILED, "report: no memory for %d runs", folders.count);
    size_t count = 0;
    int status = report(runs, &folders, &settings, &count, error);
    for (size_t index = 0; index < count; index++)
        finished_run_free(&runs[index]);
    free(runs);
    return status;
}

const command command_report = {
    .name = "report",
    .usage = "RUN...",
    .summary = "Prints the speedup table of finished runs.",
    .details =
        "RUN is the folder that `lockstep train --results` wrote. One of them must have mode\n"
        "single: it is the baseline. Runs with one global batch are strong scaling; runs with one\n"
        "batch per rank are weak scaling in the batch, and a footnote says so. Runs that differ\n"
        "in anything else (precision, data, epochs, model, seed, optimizer, device, version ...)\n"
        "are refused with a line that says what differs.",
    .options = options,
    .operands_minimum = 1,
    .operands_maximum = INT_MAX,
    .run = run_report,
};
