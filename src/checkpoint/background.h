/* One thread for what takes long and needs no collective: it runs one task at a time, while its
 * owner goes on and asks from time to time whether it is done. */
#ifndef LOCKSTEP_CHECKPOINT_BACKGROUND_H
#define LOCKSTEP_CHECKPOINT_BACKGROUND_H

#include "base/error.h"

#include <stdbool.h>

typedef struct background background;

/* `processing_units` as for thread_start (base/thread.h). `name` opens texts of errors. */
int background_open(const char *name, const int *processing_units, int count, background **out,
                    ls_error *error);
/* Starts a task; the one before it has been taken (background_take). */
void background_start(background *self, int (*task)(void *context, ls_error *error), void *context);
/* A task runs, or has ended and was not taken. */
bool background_busy(const background *self);
bool background_done(background *self);
/* Until no task runs; one that has ended is not taken. */
void background_wait(background *self);
/* The task's status and text, once it has ended: waits for that. */
int background_take(background *self, ls_error *error);
/* Waits for a task that runs. NULL is fine. */
void background_close(background *self);

#endif
