/* What each kind of picture of a report shows, taken from its runs (a part of plot.c). */
#ifndef LOCKSTEP_REPORT_PICTURE_PLOT_KINDS_H
#define LOCKSTEP_REPORT_PICTURE_PLOT_KINDS_H

#include "report/compare/comparison.h"
#include "report/compare/modes.h"
#include "report/picture/picture.h"
#include "report/picture/plot_pictures.h"

/* plot_ratios.c: a picture a table that compares something. */
int add_speedup_pictures(picture_list *out, const comparison_list *tables, ls_error *error);
/* plot_times.c */
int add_time_picture(picture_list *out, const configuration_list *configurations, ls_error *error);
/* plot_losses.c: of loss, of accuracy, of accuracy over time and over images. */
int add_curve_pictures(picture_list *out, const configuration_list *configurations,
                       complaints *complaints, ls_error *error);
/* plot_memory.c: where a run wrote down what it planned. */
int add_memory_picture(picture_list *out, const configuration_list *configurations,
                       ls_error *error);
/* plot_attempts.c: of runs that were made in more than one attempt. */
int add_attempt_picture(picture_list *out, const configuration_list *configurations,
                        complaints *complaints, ls_error *error);
/* plot_batches.c: throughput over the batch per rank, where there are two points of it at least. */
int add_throughput_picture(picture_list *out, const modes *modes, ls_error *error);
/* plot_samples.c: a picture a configuration whose run sampled its ranks. */
int add_usage_pictures(picture_list *out, const configuration_list *configurations,
                       complaints *complaints, ls_error *error);

/* Its name; with its batch where another one has the same name. */
void add_plot_name(text_buffer *out, const configuration_list *configurations, size_t index);
/* The repeat in the middle (of an even number the faster of the two): one run, whose parts add up
 * to its time. */
const finished_run *middle_run(const configuration *self);

/* bar_room.c: room for the bars of a picture, their names and parts. */
typedef struct bar_room {
    plot_bar *bars;     /* [count] */
    text_buffer *names; /* [count] */
    double *parts;      /* [count][parts] */
    size_t count;
} bar_room;
int bar_room_open(bar_room *out, size_t count, size_t parts, ls_error *error);
void bar_room_free(bar_room *self);
/* The picture's title and its scripts. */
int picture_of_bars(picture *out, const plot_bars *bars, ls_error *error);

#endif
