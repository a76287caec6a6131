/* The names that --allow takes: in what runs of one table may differ, with a footnote. */
#ifndef LOCKSTEP_REPORT_READ_ALLOW_H
#define LOCKSTEP_REPORT_READ_ALLOW_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* A line each of --help. The columns of facts.def and totals.def have all of them but three: batch
 * and repeats are comparison.c's, suspended is run_list.c's. */
#define ALLOW_NAMES_1                                                                              \
    "version, libraries, environment, model, precision, grad-comm, strict, accumulate, device"
#define ALLOW_NAMES_2 "threads, graph, oversubscription, data, images, epochs, augmentation, seeds"
#define ALLOW_NAMES_3                                                                              \
    "optimizer, warm-up, profile, certificate, throttling, suspended, batch, repeats"
#define ALLOW_NAMES ALLOW_NAMES_1 ", " ALLOW_NAMES_2 ", " ALLOW_NAMES_3

/* `list`: "WHAT[,WHAT...]", NULL for none. LS_BAD_INPUT where a word is none of the names. */
int allow_check(const char *list, ls_error *error);
bool allow_holds(const char *list, const char *name);
/* One of "a|b". */
bool allow_holds_any(const char *list, const char *names);
/* Of words with commas, spaces or bars between: one is the first `length` bytes of `name`. */
bool allow_list_holds(const char *list, const char *name, size_t length);

#endif
