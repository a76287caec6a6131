/* The kinds of pictures, from plain numbers to a script of gnuplot. What the numbers are taken from
 * is plot.c's. Values that are NAN were not measured and are not drawn. */
#ifndef LOCKSTEP_REPORT_PICTURE_PLOT_PICTURES_H
#define LOCKSTEP_REPORT_PICTURE_PLOT_PICTURES_H

#include "report/picture/plot_script.h"

/* Speedups with their intervals over the numbers of ranks, against the ideal. */
typedef struct plot_speedup {
    const char *series; /* "DDP": those of one name have one colour */
    int ranks;
    double ratio, low, high; /* low, high: NAN without an interval */
} plot_speedup;
typedef struct plot_speedups {
    const char *title, *subtitle, *baseline;
    int baseline_ranks;
    const plot_speedup *points; /* [count] */
    size_t count;
} plot_speedups;
int plot_speedups_height(const plot_speedups *self);
void plot_speedups_script(text_buffer *out, plot_format format, const plot_speedups *self);

/* Bars one below the other, each cut into parts that have one meaning in all of them. */
typedef struct plot_part {
    const char *name;
    int series; /* of the palette, from 0 */
} plot_part;
typedef struct plot_bar {
    const char *name;
    double total;        /* what stands at its end; below the sum of its parts, that is drawn */
    const double *parts; /* [part_count]; below 0: nothing */
    double limit;        /* a mark across the bar; NAN: it has none */
} plot_bar;
typedef struct plot_bars {
    const char *title, *subtitle;
    const char *across, *unit; /* "seconds of training time", "s" */
    const char *limit;         /* what the marks are, for the legend; NULL: there are none */
    const plot_part *parts;    /* [part_count], from left to right */
    size_t part_count;
    const plot_bar *bars; /* [count] */
    size_t count;
} plot_bars;
int plot_bars_height(const plot_bars *self);
void plot_bars_script(text_buffer *out, plot_format format, const plot_bars *self);

/* Points over the batch per rank, a series a configuration; the places of the batches that there
 * are stand side by side at equal distances. */
typedef struct plot_throughput {
    const char *series; /* those of one name have one colour and a line */
    size_t place;       /* of the series among those of its kind, in the table */
    double batch, images_per_second;
    bool published; /* not measured here: a hollow grey point */
} plot_throughput;
typedef struct plot_throughputs {
    const char *title, *subtitle;
    const plot_throughput *points; /* [count]; those of a series in the order of their batches */
    size_t count;
} plot_throughputs;
int plot_throughputs_height(const plot_throughputs *self);
void plot_throughputs_script(text_buffer *out, plot_format format, const plot_throughputs *self);

/* What each rank used over time: a line a rank in each panel; of many ranks thin ones, and their
 * median. */
enum { PLOT_USE, PLOT_MEMORY, PLOT_USAGES };
typedef struct plot_user {
    const char *name;
    const double *values[PLOT_USAGES]; /* [times]: in percent; in GB */
} plot_user;
typedef struct plot_usage {
    const char *title, *subtitle;
    const double *seconds; /* [times] */
    size_t times;
    const plot_user *users; /* [count] */
    size_t count;
} plot_usage;
int plot_usage_height(const plot_usage *self);
void plot_usage_script(text_buffer *out, plot_format format, const plot_usage *self);

/* Curves over the epochs, or over time, in two panels with one scale: of the training images and of
 * the test images. */
enum { PLOT_TRAIN, PLOT_TEST, PLOT_PANELS };
typedef struct plot_run {
    size_t epochs;
    const double *at;                  /* [epochs] where an epoch stands; NULL: at its number */
    const double *values[PLOT_PANELS]; /* [epochs] */
} plot_run;
typedef struct plot_curve {
    const char *name;
    const plot_run *runs; /* [run_count]: thin lines; their median is drawn over them */
    size_t run_count;
} plot_curve;
typedef struct plot_curves {
    const char *title, *subtitle, *unit; /* "loss"; "accuracy, %" */
    const char *across;                  /* NULL: the number of the epoch */
    double factor, most;                 /* values are drawn times it; the most there can be */
    const plot_curve *curves;            /* [count] */
    size_t count;
} plot_curves;
int plot_curves_height(const plot_curves *self);
void plot_curves_script(text_buffer *out, plot_format format, const plot_curves *self);

#endif
