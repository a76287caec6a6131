/* A report's Markdown for a paper: tables in the manner of the package booktabs (S. Fear,
 * "Publication quality tables in LaTeX"). */
#ifndef LOCKSTEP_REPORT_TEXT_LATEX_H
#define LOCKSTEP_REPORT_TEXT_LATEX_H

#include "base/text_buffer.h"

/* To be read by \input: the packages that it needs (booktabs, graphicx) stand in its first line, a
 * comment. A table that is wider than the line is made smaller to fit. Whatever comes from files is
 * escaped. */
void latex_write(text_buffer *out, const char *markdown);

#endif
