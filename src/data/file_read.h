/* A file of somebody else's, read whole while it may change or vanish. */
#ifndef LOCKSTEP_DATA_FILE_READ_H
#define LOCKSTEP_DATA_FILE_READ_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct open_file {
    int descriptor;
    int64_t bytes;
} open_file;

/* LS_BAD_INPUT names `path` and why this file cannot be had: absent, unreadable, no regular file,
 * larger than `limit`. LS_FAILED where the process or the system is out of something. */
int file_start(open_file *self, const char *path, int64_t limit, ls_error *error);

/* Exactly self->bytes bytes; LS_BAD_INPUT where it became shorter, or its disk cannot read it. */
int file_read(open_file *self, const char *path, uint8_t *out, ls_error *error);

void file_end(open_file *self);

#endif
