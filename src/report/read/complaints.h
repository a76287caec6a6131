/* What is wrong with single runs of a report: each costs one line, and the others are reported. */
#ifndef LOCKSTEP_REPORT_READ_COMPLAINTS_H
#define LOCKSTEP_REPORT_READ_COMPLAINTS_H

#include "base/error.h"

#include <stddef.h>

typedef struct complaints {
    ls_error *list; /* [count], owned */
    size_t count;
} complaints;

/* Keeps a failure as one line, each text once, and forgets it in *error, so that the report goes
 * on. LS_FAILED (no memory, say) is no complaint about a run: it is returned, as is what there was
 * no memory for. */
int complaints_add(complaints *self, ls_error *error);

/* "lockstep: TEXT" on stderr for each but the last, which becomes *error, for main to print: its
 * code is returned. LS_OK where there is none. */
int complaints_end(const complaints *self, ls_error *error);

void complaints_free(complaints *self);

#endif
