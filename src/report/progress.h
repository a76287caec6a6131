/* One line on a terminal that is written over: shown only where stdout is a terminal, at most ten
 * times a second, never wider than the terminal, cleared before any other line. */
#ifndef LOCKSTEP_REPORT_PROGRESS_H
#define LOCKSTEP_REPORT_PROGRESS_H

#include <stdbool.h>

typedef struct progress {
    bool terminal; /* stdout is one */
    bool shown;    /* a line stands there now */
    double next;   /* clock_seconds from which on it may be drawn again */
} progress;

progress progress_start(void);

/* True where a line may be drawn now: ask before formatting one. */
bool progress_due(const progress *self);
void progress_show(progress *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
void progress_clear(progress *self);

#endif
