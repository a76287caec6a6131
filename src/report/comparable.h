/* Which runs may stand in one table. A speedup compares the same work on the same kind of machine;
 * everything that must be equal is one row of the table in comparable.c, and each row has a name by
 * which --allow lets it differ, with a footnote. */
#ifndef LOCKSTEP_REPORT_COMPARABLE_H
#define LOCKSTEP_REPORT_COMPARABLE_H

#include "base/error.h"
#include "report/configuration.h"
#include "report/text_buffer.h"

#include <stddef.h>

/* What --allow takes, a line each of --help; the last two are comparison.c's,
 * suspended is run_list.c's. */
#define COMPARABLE_NAMES_1                                                                         \
    "version, libraries, environment, model, precision, grad-comm, strict, device, threads"
#define COMPARABLE_NAMES_2 "graph, oversubscription, data, images, epochs, augmentation, seeds"
#define COMPARABLE_NAMES_3                                                                         \
    "optimizer, warm-up, profile, certificate, throttling, suspended, batch, repeats"
#define COMPARABLE_NAMES COMPARABLE_NAMES_1 ", " COMPARABLE_NAMES_2 ", " COMPARABLE_NAMES_3

/* `list`: "WHAT[,WHAT...]", NULL for none. LS_BAD_INPUT where a word is none of the names. */
int allow_check(const char *list, ls_error *error);
bool allow_holds(const char *list, const char *name);

/* What of a run makes it part of a configuration. */
void comparable_add_key(text_buffer *out, const finished_run *run);
/* "; strict 1" for each such value of `run` that `other` does not share. */
void comparable_add_traits(text_buffer *out, const finished_run *run, const finished_run *other);

/* "1;2;3": the seeds of all repeats, each once. */
void comparable_add_seeds(text_buffer *out, const configuration *self);

typedef struct differences {
    size_t count; /* of rules that do not hold, allowed or not */
    text_buffer
        refused;      /* "precision is fp32 in A but bf16 in B; ...": what `allow` does not name */
    text_buffer mend; /* the names that would allow it: "precision,epochs" */
    text_buffer allowed; /* as `refused`, of what `allow` does name */
} differences;

/* Adds one, of a name; `a` and `b` are the values, with their runs. */
void differences_add(differences *self, const char *allow, const char *name, const char *what,
                     const char *a, const configuration *of_a, const char *b,
                     const configuration *of_b);
/* All rules, of a baseline and another configuration; their batches are comparison.c's. */
void differences_find(differences *self, const configuration *baseline, const configuration *other,
                      const char *allow);
void differences_free(differences *self);

#endif
