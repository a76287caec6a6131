/* The lines of a run: on stdout and in log.txt, each flushed as soon as it is written, so that a
 * job that is killed has left what it said. */
#ifndef LOCKSTEP_REPORT_RUN_LOG_H
#define LOCKSTEP_REPORT_RUN_LOG_H

#include "base/error.h"
#include "base/text_buffer.h"
#include "report/run/progress.h"

#include <stdio.h>

typedef struct run_log {
    FILE *file;
    text_buffer said; /* all of it: a checkpoint keeps it */
    char path[4096];
    progress progress;
} run_log;

/* Begins PATH anew, with what an earlier attempt at the run said; "": nothing. */
int log_open(run_log *self, const char *path, const char *said, ls_error *error);

/* Whole lines, line breaks included. */
int log_write(run_log *self, const text_buffer *lines, ls_error *error);

/* Makes sure that the file is on the disk. */
int log_sync(run_log *self, ls_error *error);

void log_close(run_log *self);

#endif
