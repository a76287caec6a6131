/* Which runs may stand in one table. A speedup compares the same work on the same kind of machine;
 * everything that must be equal is one row of the table in comparable.c. */
#ifndef LOCKSTEP_REPORT_COMPARABLE_H
#define LOCKSTEP_REPORT_COMPARABLE_H

#include "base/error.h"
#include "report/finished_run.h"

#include <stddef.h>

typedef enum {
    SCALING_NONE,   /* one run alone */
    SCALING_STRONG, /* one global batch */
    SCALING_WEAK    /* one batch per rank: the global batch, and the steps an epoch, differ */
} scaling_kind;

/* Finds the baseline (the one run with mode single) and the kind of scaling. LS_BAD_INPUT and one
 * line where there is no baseline or several, a run is given twice, or runs differ in anything
 * else: it names what differs, in which runs, with both values. */
int comparable_check(const finished_run *runs, size_t count, size_t *baseline,
                     scaling_kind *scaling, ls_error *error);

#endif
