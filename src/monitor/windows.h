/* Training time: the union of the windows between start and stop marks, as a clock that stands
 * still outside them. */
#ifndef LOCKSTEP_MONITOR_WINDOWS_H
#define LOCKSTEP_MONITOR_WINDOWS_H

#include <stdbool.h>

enum { MOST_PENDING_MARKS = 128 };

/* Zero bytes: no window yet. */
typedef struct windows {
    double marks[MOST_PENDING_MARKS]; /* ascending, not yet passed; they open and close in turn */
    int pending;
    bool open;        /* at `now` */
    bool open_at_end; /* after the last pending mark */
    bool lost;        /* a mark found no room: the clock cannot be believed from then on */
    double now;       /* how far the clock has come */
    double training_seconds;
} windows;

/* A start mark in an open window, or a stop mark in none, is ignored. Times never go back. */
void windows_mark(windows *self, double time, bool start);

/* Moves the clock on to `time` and returns the training seconds up to then. */
double windows_advance(windows *self, double time);

#endif
