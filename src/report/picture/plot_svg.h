/* What gnuplot's SVG lacks: colours that follow the reader's light or dark scheme, a title, and
 * names that stay apart where several pictures stand in one page. */
#ifndef LOCKSTEP_REPORT_PICTURE_PLOT_SVG_H
#define LOCKSTEP_REPORT_PICTURE_PLOT_SVG_H

#include "base/error.h"
#include "base/text_buffer.h"

/* Adds `svg`, which gnuplot drew in the palette's light colours, to `out`: colours are written
 * "#rrggbb", the style sheet gives each of the palette's its dark tone, ids begin with `name`, the
 * title is `title`. Without the XML declaration: an element that HTML takes as it is. LS_FAILED
 * where `svg` is no whole SVG of gnuplot's. */
int plot_svg_finish(text_buffer *out, const text_buffer *svg, const char *name, const char *title,
                    ls_error *error);

/* Text as the content or a quoted attribute of XML and HTML: & < > " ' are escaped, control
 * characters and bytes that are no UTF-8 become '?'. */
void plot_escape(text_buffer *out, const char *text);

#endif
