/* The runs that a report was given, read: what cannot be read is a complaint, and the rest stays.
 */
#ifndef LOCKSTEP_REPORT_READ_RUN_LIST_H
#define LOCKSTEP_REPORT_READ_RUN_LIST_H

#include "report/read/complaints.h"
#include "report/read/finished_run.h"

#include <stddef.h>

typedef struct run_list {
    finished_run *items; /* [count], in the order in which they were given */
    size_t count;
} run_list;

/* folders[0..count) must outlive the list. A run given twice, or its copy, is a complaint; the
 * first one stays. */
int run_list_read(run_list *out, char *const *folders, size_t count, complaints *complaints,
                  ls_error *error);
/* Leaves out, with a complaint, the runs whose training time holds some in which they did not run;
 * `allow` may name them ("suspended"), and they get a footnote (notes.c). */
int run_list_leave_suspended(run_list *self, const char *allow, complaints *complaints,
                             ls_error *error);

void run_list_free(run_list *self);

#endif
