/* Threads beside the main one. */
#ifndef LOCKSTEP_BASE_THREAD_H
#define LOCKSTEP_BASE_THREAD_H

#include "base/error.h"

#include <pthread.h>

/* Starts a thread that takes no signal (those are for the thread that waits for them) and may run
 * on these processing units (OS indices); count 0: where its creator may. `what` opens the text of
 * an error ("loader"). The caller joins it. */
int thread_start(pthread_t *out, const char *what, const int *processing_units, int count,
                 void *(*run)(void *), void *context, ls_error *error);

/* Whether `count` more threads may run at once, for a runtime that ends the process where they may
 * not (OpenMP's). They have ended again; no thread of this process needs them meanwhile. */
int thread_check(const char *what, int count, ls_error *error);

/* LS_FAILED: pthread_create said `number`; `what` as above. */
int thread_fail(ls_error *error, const char *what, int number);

#endif
