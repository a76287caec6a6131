/* One line on a terminal that is written over: shown only where a terminal is there, at most ten
 * times a second, never wider than the terminal, cleared before any other line. */
#ifndef LOCKSTEP_REPORT_RUN_PROGRESS_H
#define LOCKSTEP_REPORT_RUN_PROGRESS_H

#include <stdbool.h>

typedef struct progress {
    int terminal; /* a descriptor of the terminal that shows stdout; -1 where none does */
    bool shown;   /* a line stands there now */
    double next;  /* clock_seconds from which on it may be drawn again */
} progress;

progress progress_start(void);

/* Columns that a line on this terminal may fill, the last one left free (some terminals go to the
 * next line when it is filled); 79 where it does not say. */
int progress_width(int terminal);

/* True where a line may be drawn now: ask before formatting one. */
bool progress_due(const progress *self);
void progress_show(progress *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
void progress_clear(progress *self);

/* Clears the line and gives the terminal back. */
void progress_end(progress *self);

#endif
