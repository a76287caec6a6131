/* The lines of a run: on stdout and in log.txt, each flushed as soon as it is written, so that a
 * job that is killed has left what it said. */
#ifndef LOCKSTEP_REPORT_LOG_H
#define LOCKSTEP_REPORT_LOG_H

#include "base/error.h"
#include "report/progress.h"
#include "report/text_buffer.h"

#include <stdio.h>

typedef struct run_log {
    FILE *file;
    char path[4096];
    progress progress;
} run_log;

/* Begins PATH anew. */
int log_open(run_log *self, const char *path, ls_error *error);

/* Whole lines, line breaks included. */
int log_write(run_log *self, const text_buffer *lines, ls_error *error);

/* Makes sure that the file is on the disk. */
int log_sync(run_log *self, ls_error *error);

void log_close(run_log *self);

#endif
