/* The signals that end a run with one line and nothing left behind, in one place: what a terminal,
 * a scheduler (time, CPU time, a warning before either) or a user sends. */
#ifndef LOCKSTEP_BASE_SIGNALS_H
#define LOCKSTEP_BASE_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* Is it one of them? */
bool signals_end(int number);

/* "SIGTERM"; "a signal" for any other. Async-signal-safe. */
const char *signals_name(int number);

/* 128 + number, as a shell says it. */
int signals_exit_code(int number);

/* Adds them to a set, or takes them out of it. */
void signals_add(sigset_t *set);
void signals_remove(sigset_t *set);

/* Keeps in mind which of them are ignored just now. Called before the constructors of shared
 * libraries (before_main.c), for one of them may take a signal: UCX takes SIGHUP. */
void signals_remember(void);

/* Gives them this handler. Those that were ignored when the process started (signals_remember; else
 * at the first call) stay so (nohup), but SIGINT and SIGTERM, which a shell ignores for its
 * background jobs. May be called again, where a library has put a handler of its own. */
void signals_catch(void (*handler)(int number));

#endif
