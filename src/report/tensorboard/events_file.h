/* A TensorBoard event file: records (events_record.h) of Event messages (events.proto). Records
 * are gathered in memory and written whole, so that a reader of a running job's file, or of a
 * killed one's, finds no half record but where the disk was full. Adding scalars allocates
 * nothing. */
#ifndef LOCKSTEP_REPORT_TENSORBOARD_EVENTS_FILE_H
#define LOCKSTEP_REPORT_TENSORBOARD_EVENTS_FILE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENTS_FILE "events.out.tfevents"

typedef struct event_file event_file;

typedef struct event_scalar {
    const char *tag; /* "loss/train": TensorBoard groups by what stands before the slash */
    double value;    /* stored as a float; NAN: left out */
} event_scalar;

/* "on", or "off" in a build without protobuf-c, where event_file_open is LS_BAD_INPUT. */
extern const char event_files_default[];

/* Begins FOLDER/events.out.tfevents.<seconds>.<host>.<pid>.0 with the event of the file's version
 * and one that tells a reader to drop what an earlier, unfinished run left in the folder. */
int event_file_open(const char *folder, const char *host, event_file **out, ls_error *error);
const char *event_file_name(const event_file *self); /* without its folder */

/* One event of at most EVENT_SCALARS values. */
enum { EVENT_SCALARS = 32 };
int event_file_scalars(event_file *self, int64_t step, const event_scalar *scalars, size_t count,
                       ls_error *error);
/* For the text plugin, which shows Markdown. */
int event_file_text(event_file *self, int64_t step, const char *tag, const char *text,
                    ls_error *error);

/* Hands what was added to the file. Adding does so by itself ten seconds after the last time. */
int event_file_flush(event_file *self, ls_error *error);
/* Whether `name` in the folder is an event file that event_file_open began and whose first event is
 * a text of that tag. */
bool event_file_is_of(int folder, const char *name, const char *tag);

/* NULL is fine. Does not flush: what follows a failure is not written. */
void event_file_close(event_file *self);

#endif
