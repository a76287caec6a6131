/* What `lockstep report` is made of (parts of report.c). */
#ifndef LOCKSTEP_CLI_REPORT_PARTS_H
#define LOCKSTEP_CLI_REPORT_PARTS_H

#include "report/compare/modes.h"
#include "report/compare/target.h"
#include "report/read/run_list.h"

typedef struct report_settings {
    const char *table, *format, *output, *allow, *plot, *html, *published;
    bool png, certify, columns;
    double target_accuracy; /* 0: none */
} report_settings;

/* What one report is made of, in the order in which it is made. */
typedef struct report {
    const report_settings *settings;
    published published;
    run_list runs;
    configuration_list configurations;
    comparison_list tables; /* none with --table modes */
    target_table target;
    modes modes;
    complaints complaints;
} report;

/* report_form.c: how the tables are made, as text, Markdown (from which LaTeX and HTML are made) or
 * CSV; and where they go. */
table_format report_format(const report_settings *settings);
int report_write(const text_buffer *text, const report_settings *settings, ls_error *error);

/* A table of the report with what stands below it. A certificate that is damaged goes to
 * `complaints`. */
int report_add_table(text_buffer *out, const report *self, size_t index, table_format format,
                     complaints *complaints, ls_error *error);

/* report_page.c: --plot and --html, where they are given. */
int report_draw(report *self, ls_error *error);

#endif
