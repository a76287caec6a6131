/* Threads beside the main one. */
#ifndef LOCKSTEP_BASE_THREAD_H
#define LOCKSTEP_BASE_THREAD_H

#include "base/error.h"

#include <pthread.h>
#include <time.h>

/* Starts a thread that takes no signal (those are for the thread that waits for them) and may run
 * on these processing units (OS indices); count 0: where its creator may. `what` opens the text of
 * an error ("loader"). The caller joins it. */
int thread_start(pthread_t *out, const char *what, const int *processing_units, int count,
                 void *(*run)(void *), void *context, ls_error *error);

/* Whether `count` more threads may run at once, for a runtime that ends the process where they may
 * not (OpenMP's). They have ended again; no thread of this process needs them meanwhile. */
int thread_check(const char *what, int count, ls_error *error);

/* A condition whose timed waits (pthread_cond_timedwait) go by CLOCK_MONOTONIC: a clock that is set
 * back or forth meanwhile makes them neither longer nor shorter. */
void thread_condition_init(pthread_cond_t *out);
/* That clock, `seconds` from now. */
struct timespec thread_deadline(double seconds);

/* LS_FAILED: pthread_create said `number`; `what` as above. */
int thread_fail(ls_error *error, const char *what, int number);

#endif
