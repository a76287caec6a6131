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

/* A bar a configuration, cut into what its training time was spent on. */
typedef enum {
    PLOT_FORWARD,
    PLOT_BACKWARD,
    PLOT_OPTIMIZER,
    PLOT_DATA,
    PLOT_WAITING,
    PLOT_TRANSFER,
    PLOT_OTHER,
    PLOT_PARTS
} plot_part;
typedef struct plot_bar {
    const char *name;
    double seconds, parts[PLOT_PARTS];
} plot_bar;
typedef struct plot_bars {
    const char *title, *subtitle;
    bool waiting;         /* it was measured: else the transfer's part is all communication */
    const plot_bar *bars; /* [count] */
    size_t count;
} plot_bars;
int plot_bars_height(const plot_bars *self);
void plot_bars_script(text_buffer *out, plot_format format, const plot_bars *self);

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
