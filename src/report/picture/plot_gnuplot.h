/* gnuplot, called as a program. */
#ifndef LOCKSTEP_REPORT_PICTURE_PLOT_GNUPLOT_H
#define LOCKSTEP_REPORT_PICTURE_PLOT_GNUPLOT_H

#include "base/error.h"
#include "base/text_buffer.h"

/* How long a picture may take: a hundred times what one does. */
#define GNUPLOT_SECONDS 20.0

/* Runs the gnuplot of the PATH over `script`, without the user's own settings, and adds what it
 * wrote to its standard output. Through files in memory: no shell, nothing on the disk, no pipe
 * that could fill. LS_FAILED and one line where there is no gnuplot, where it fails (with its
 * message), takes longer than `deadline_seconds` (it is killed) or writes nothing. */
int gnuplot_run(const text_buffer *script, double deadline_seconds, text_buffer *out,
                ls_error *error);

#endif
