/* Parts of the page (a part of html.c). */
#ifndef LOCKSTEP_REPORT_PAGE_HTML_PARTS_H
#define LOCKSTEP_REPORT_PAGE_HTML_PARTS_H

#include "base/text_buffer.h"
#include "report/compare/configuration.h"

/* html_markdown.c: the Markdown that this program writes, and no more of it: tables, a heading
 * where a line begins with two stars, lists, notes ("[1] ..."), paragraphs. */
void html_markdown(text_buffer *out, const char *markdown);

/* html_warnings.c: what the runs recorded that a reader of their times should know: list items. */
void html_run_warnings(text_buffer *out, const configuration_list *configurations);

/* html_runs.c: everything that summary.csv says of each run, folded away. */
void html_run_facts(text_buffer *out, const configuration *self);

#endif
