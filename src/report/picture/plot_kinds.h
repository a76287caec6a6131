/* What each kind of picture of a report shows, taken from its runs (a part of plot.c). */
#ifndef LOCKSTEP_REPORT_PICTURE_PLOT_KINDS_H
#define LOCKSTEP_REPORT_PICTURE_PLOT_KINDS_H

#include "report/compare/comparison.h"
#include "report/picture/picture.h"

/* plot_ratios.c: a picture a table that compares something. */
int add_speedup_pictures(picture_list *out, const comparison_list *tables, ls_error *error);
/* plot_times.c */
int add_time_picture(picture_list *out, const configuration_list *configurations, ls_error *error);
/* plot_losses.c: of loss, of accuracy, of accuracy over time. */
int add_curve_pictures(picture_list *out, const configuration_list *configurations,
                       complaints *complaints, ls_error *error);

/* Its name; with its batch where another one has the same name. */
void add_plot_name(text_buffer *out, const configuration_list *configurations, size_t index);

#endif
