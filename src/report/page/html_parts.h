/* Parts of the page (a part of html.c). */
#ifndef LOCKSTEP_REPORT_PAGE_HTML_PARTS_H
#define LOCKSTEP_REPORT_PAGE_HTML_PARTS_H

#include "base/text_buffer.h"
#include "report/compare/configuration.h"

/* What is wider than the page: it scrolls sideways by itself, also by the keyboard, for which it
 * needs a name (not escaped). Ends with "</div>". */
void html_open_scroll(text_buffer *out, const char *name);

/* html_warnings.c: what the runs recorded that a reader of their times should know: list items. */
void html_run_warnings(text_buffer *out, const configuration_list *configurations);

/* html_unmeasured.c: what some runs did not measure, and why as far as they say: list items;
 * nothing where there is none. */
void html_unmeasured(text_buffer *out, const configuration_list *configurations);

/* html_runs.c: everything that summary.csv says of each run, folded away. */
void html_run_facts(text_buffer *out, const configuration *self);

#endif
