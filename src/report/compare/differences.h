/* In what two configurations differ that must be equal in one table (sameness.h), and what of it
 * --allow lets differ. */
#ifndef LOCKSTEP_REPORT_COMPARE_DIFFERENCES_H
#define LOCKSTEP_REPORT_COMPARE_DIFFERENCES_H

#include "base/text_buffer.h"
#include "report/compare/configuration.h"

#include <stddef.h>

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
