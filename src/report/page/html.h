/* A report as one page that needs nothing else: no network, no other file; it follows the reader's
 * light or dark scheme. Whatever comes from files is escaped. */
#ifndef LOCKSTEP_REPORT_PAGE_HTML_H
#define LOCKSTEP_REPORT_PAGE_HTML_H

#include "report/picture/plot.h"

typedef struct html_report {
    const comparison_list *tables;
    const text_buffer *texts; /* [tables->count]: what the report says of each, in Markdown */
    const text_buffer *more;  /* what it says below them, as those; may be empty */
    const configuration_list *configurations;
    const text_buffer *proofs; /* what certificates show, as those; may be empty */
    const picture_list *pictures;
    const complaints *complaints;
} html_report;

/* Draws the pictures. Where that fails, the page says why and goes on without them: *drawing is
 * that failure, its code 0 where there was none. */
int html_page(text_buffer *out, const html_report *report, ls_error *drawing, ls_error *error);

/* The program's own Markdown as a part of somebody's page: tables, headings of the second order. */
void html_tables(text_buffer *out, const char *markdown);

#endif
